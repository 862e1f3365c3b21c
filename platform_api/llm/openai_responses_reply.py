"""A response as OpenAI's clients read it. Source: OpenAI API reference, "The response object"."""

import msgspec

from bridge.chat import ChatResponse, ReasoningPart, Usage
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_responses_request import ResponsesBody

JsonDict = dict[str, object]
Items = list[JsonDict]

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_body(response: ChatResponse, facts: AnswerFacts, asked: ResponsesBody) -> bytes:
    """The body of a whole reply."""
    return msgspec.json.encode(finished(response, facts, asked, items_of(response, facts)))


def finished(response: ChatResponse, facts: AnswerFacts, asked: ResponsesBody, output: Items) -> JsonDict:
    """The response object at its end."""
    reason = INCOMPLETE.get(response.finish_reason or "stop")
    body = response_object(facts, asked, status="completed" if reason is None else "incomplete")
    body["output"] = output
    body["usage"] = usage_object(response.usage)
    body["incomplete_details"] = None if reason is None else {"reason": reason}
    return body


def response_object(facts: AnswerFacts, asked: ResponsesBody, *, status: str) -> JsonDict:
    """The response object before it holds anything."""
    text = msgspec.to_builtins(asked.text) if asked.text is not None else {"format": {"type": "text"}}
    return {
        "id": f"resp_{facts.call_id}",
        "object": "response",
        "created_at": facts.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "model": facts.model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None if asked.reasoning is None else asked.reasoning.effort, "summary": None},
        "store": False,
        "temperature": asked.temperature,
        "text": text,
        "tool_choice": msgspec.to_builtins(asked.tool_choice) if asked.tool_choice is not None else "auto",
        "tools": msgspec.to_builtins(asked.tools or []),
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
    }


def items_of(response: ChatResponse, facts: AnswerFacts) -> Items:
    """Thoughts, then what was said, then the calls."""
    parts = response.reasoning_parts or ((ReasoningPart(response.reasoning),) if response.reasoning else ())
    items = [reasoning_item(f"rs_{facts.call_id}_{n}", part) for n, part in enumerate(parts)]
    said: Items = [text_part(response.text)] if response.text or not (response.refusal or response.tool_calls) else []
    if response.refusal:
        said.append({"type": "refusal", "refusal": response.refusal})
    if said:
        items.append(message_item(f"msg_{facts.call_id}", said))
    for n, call in enumerate(response.tool_calls):
        items.append(call_item(f"fc_{facts.call_id}_{n}", call.id, call.name, call.arguments))
    return items


def reasoning_item(item_id: str, part: ReasoningPart) -> JsonDict:
    """A thought. What its provider signed rides in `encrypted_content`, and comes back with it."""
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: JsonDict = {"type": "reasoning", "id": item_id, "summary": summary, "status": "completed"}
    if part.signature:
        item["encrypted_content"] = part.signature
    return item


def message_item(item_id: str, content: Items, *, status: str = "completed") -> JsonDict:
    """Something said."""
    return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}


def text_part(text: str) -> JsonDict:
    """Plain text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(item_id: str, call_id: str, name: str, arguments: str, *, status: str = "completed") -> JsonDict:
    """A function call."""
    named = {"call_id": call_id, "name": name, "arguments": arguments}
    return {"type": "function_call", "id": item_id, "status": status, **named}


def usage_object(usage: Usage | None) -> JsonDict | None:
    """Usage in the dialect's words."""
    if usage is None:
        return None
    cached = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
