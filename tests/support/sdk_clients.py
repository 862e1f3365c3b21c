"""What applications do with the official SDKs, in each client dialect: one way to ask, one way to look at answers."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

import openai

from bridge.chat import ChatResponse
from platform_api.llm.anthropic_messages_reply import STOP_REASONS

Sdk = Any
"""An SDK's client: its overloads take no parameters that a test makes up."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSBub3RoaW5nIG11Y2gK"
SYSTEM, QUESTION, RESULT = "Be brief, please.", "What about it?", "rain, 4 C"
SCHEMA: dict[str, Any] = {"type": "object", "description": "whatever fits", "additionalProperties": True}
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
EARLIER = ("call_1", "weather", {"city": "Oslo"})
MAX_TOKENS = 4000


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as an application sees it."""

    text: str
    calls: tuple[tuple[str, Any], ...]
    ending: str
    reasoning: str
    tokens: tuple[int, int]


class SdkClient(Protocol):
    """One client dialect."""

    async def ask(self, model: str, feature: str, tools: list[str], *, stream: bool) -> Seen: ...
    def expected(self, answer: ChatResponse) -> Seen:
        """What an application should see of `answer`."""
        ...


def arguments_of(text: str) -> Any:
    """A call's arguments as a value."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _expected(answer: ChatResponse, ending: str) -> Seen:
    usage = answer.usage
    return Seen(
        answer.text + answer.refusal,
        tuple((call.name, arguments_of(call.arguments)) for call in answer.tool_calls),
        ending,
        answer.reasoning,
        (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens),
    )


class ChatClient:
    """openai: chat completions."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    async def ask(self, model: str, feature: str, tools: list[str], *, stream: bool) -> Seen:
        asked = self._asked(model, feature, tools)
        if not stream:
            answer = await self._sdk.chat.completions.create(**asked)
        else:
            asked["stream_options"] = {"include_usage": True}
            answer = await self._streamed(asked)
        choice = answer.choices[0]
        calls: list[Any] = choice.message.tool_calls or []
        return Seen(
            (choice.message.content or "") + (choice.message.refusal or ""),
            tuple((call.function.name, arguments_of(call.function.arguments)) for call in calls),
            choice.finish_reason,
            getattr(choice.message, "reasoning_content", None) or "",
            (answer.usage.prompt_tokens, answer.usage.completion_tokens),
        )

    async def _streamed(self, asked: dict[str, Any]) -> Any:
        """What the SDK makes of the stream; its helper raises for an answer that was cut."""
        try:
            async with self._sdk.chat.completions.stream(**asked) as events:
                return await events.get_final_completion()
        except openai.LengthFinishReasonError as error:
            return error.completion

    def expected(self, answer: ChatResponse) -> Seen:
        reason = answer.finish_reason or "stop"
        return _expected(answer, "stop" if reason == "other" else reason)

    def _asked(self, model: str, feature: str, tools: list[str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": QUESTION}]
        if feature == "vision":
            content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}})
        if feature == "document":
            content.append({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}})
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
        if feature == "tool_result":
            call_id, name, given = EARLIER
            function = {"name": name, "arguments": json.dumps(given)}
            called = {"id": call_id, "type": "function", "function": function}
            messages += [{"role": "assistant", "tool_calls": [called]}]
            messages += [{"role": "tool", "tool_call_id": call_id, "content": RESULT}]
        asked: dict[str, Any] = {"model": model, "messages": messages, "max_completion_tokens": MAX_TOKENS}
        if tools:
            functions = [{"name": name, "parameters": PARAMETERS} for name in tools]
            asked["tools"] = [{"type": "function", "function": function} for function in functions]
        if feature == "json_schema":
            wanted = {"name": "thing", "schema": SCHEMA}
            asked["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if feature == "json_mode":
            asked["response_format"] = {"type": "json_object"}
        if feature == "reasoning":
            asked["reasoning_effort"] = "low"
        return asked


class ResponsesClient:
    """openai: responses."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    async def ask(self, model: str, feature: str, tools: list[str], *, stream: bool) -> Seen:
        asked = self._asked(model, feature, tools)
        if not stream:
            answer = await self._sdk.responses.create(**asked)
        else:
            async with self._sdk.responses.stream(**asked) as events:
                last = [event async for event in events][-1]
                answer = last.response
        calls = [item for item in answer.output if item.type == "function_call"]
        parts = [part for item in answer.output if item.type == "message" for part in item.content]
        thoughts = [one.text for item in answer.output if item.type == "reasoning" for one in item.summary]
        reason = answer.incomplete_details.reason if answer.incomplete_details else answer.status
        return Seen(
            "".join(part.text if part.type == "output_text" else part.refusal for part in parts),
            tuple((call.name, arguments_of(call.arguments)) for call in calls),
            reason,
            "".join(thoughts),
            (answer.usage.input_tokens, answer.usage.output_tokens),
        )

    def expected(self, answer: ChatResponse) -> Seen:
        ending = {"length": "max_output_tokens", "content_filter": "content_filter"}
        return _expected(answer, ending.get(answer.finish_reason or "stop", "completed"))

    def _asked(self, model: str, feature: str, tools: list[str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "input_text", "text": QUESTION}]
        if feature == "vision":
            content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"})
        if feature == "document":
            content.append({"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"})
        items: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if feature == "tool_result":
            call_id, name, given = EARLIER
            call = {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(given)}
            items += [call, {"type": "function_call_output", "call_id": call_id, "output": RESULT}]
        asked: dict[str, Any] = {"model": model, "input": items, "instructions": SYSTEM}
        asked["max_output_tokens"] = MAX_TOKENS
        if tools:
            functions = [{"name": name, "parameters": PARAMETERS, "strict": False} for name in tools]
            asked["tools"] = [{"type": "function", **function} for function in functions]
        if feature == "json_schema":
            asked["text"] = {"format": {"type": "json_schema", "name": "thing", "schema": SCHEMA}}
        if feature == "json_mode":
            asked["text"] = {"format": {"type": "json_object"}}
        if feature == "reasoning":
            asked["reasoning"] = {"effort": "low"}
        return asked


class MessagesClient:
    """anthropic: messages. The dialect has no JSON mode without a schema: any object is one."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    async def ask(self, model: str, feature: str, tools: list[str], *, stream: bool) -> Seen:
        asked = self._asked(model, feature, tools)
        if not stream:
            answer = await self._sdk.messages.create(**asked)
        else:
            async with self._sdk.messages.stream(**asked) as events:
                answer = await events.get_final_message()
        usage = answer.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return Seen(
            "".join(block.text for block in answer.content if block.type == "text"),
            tuple((block.name, block.input) for block in answer.content if block.type == "tool_use"),
            answer.stop_reason,
            "".join(block.thinking for block in answer.content if block.type == "thinking"),
            (usage.input_tokens + cached, usage.output_tokens),
        )

    def expected(self, answer: ChatResponse) -> Seen:
        reason = "refusal" if answer.refusal else STOP_REASONS[answer.finish_reason or "stop"]
        return _expected(answer, reason)

    def _asked(self, model: str, feature: str, tools: list[str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": QUESTION}]
        if feature == "vision":
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.append({"type": "image", "source": source})
        if feature == "document":
            source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
            content.append({"type": "document", "source": source})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if feature == "tool_result":
            call_id, name, given = EARLIER
            called = {"type": "tool_use", "id": call_id, "name": name, "input": given}
            result = {"type": "tool_result", "tool_use_id": call_id, "content": RESULT}
            messages += [{"role": "assistant", "content": [called]}, {"role": "user", "content": [result]}]
        asked: dict[str, Any] = {"model": model, "messages": messages, "system": SYSTEM, "max_tokens": MAX_TOKENS}
        if tools:
            asked["tools"] = [{"name": name, "input_schema": PARAMETERS} for name in tools]
        if feature in ("json_schema", "json_mode"):
            asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if feature == "reasoning":
            asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return asked
