"""What /openapi.json says of the answers of /v1: the writers make plain dictionaries, so their shapes are told here.

Sources: OpenAI and Anthropic API references. Fields that an application may not count on are left out.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY_OBJECT: Schema = {"type": "object"}
OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
ENDINGS = ("stop", "length", "tool_calls", "content_filter")
STOP_REASONS = ("end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence")
MESSAGE_EVENTS = (
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
    "message_stop", "error",
)  # fmt: skip
FACTS: Mapping[str, str] = {
    "x-modelbridge-call-id": "The call in the ledger",
    "x-modelbridge-model": "Who answered, `provider/model`",
    "x-modelbridge-provider": "Whose model it is",
    "x-modelbridge-attempts": "How many providers' answers it took",
    "x-modelbridge-cache": "Did a cache answer?",
    "x-modelbridge-cost-usd": "What it cost in dollars, where that is known before the first byte",
    "x-modelbridge-overhead-ms": "What we added to the provider's time, in milliseconds",
}
"""Headers of an answer that a model gave."""


def shape(required: Schema, optional: Schema | None = None) -> Schema:
    """An object with these members; more may come."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def listed(item: Schema) -> Schema:
    """A list of them."""
    return {"type": "array", "items": item}


def either(*schemas: Schema) -> Schema:
    """One of them."""
    return {"anyOf": list(schemas)}


def referred(name: str) -> Schema:
    """A schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"enum": list(values)}


NULL: Schema = {"type": "null"}
_FUNCTION = shape({"name": TEXT, "arguments": TEXT})
_SPEECH: Schema = {
    "reasoning_content": TEXT,
    "reasoning_details": listed(shape({"type": TEXT})),
}
_CHAT_USAGE = shape(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": shape({"cached_tokens": COUNT}),
        "completion_tokens_details": shape({"reasoning_tokens": COUNT}),
    },
    {"cost_usd": {"type": ["number", "null"]}},
)
_ASSISTANT = shape(
    {"role": {"const": "assistant"}, "content": TEXT_OR_NULL, "refusal": TEXT_OR_NULL},
    {**_SPEECH, "tool_calls": listed(shape({"id": TEXT, "type": {"const": "function"}, "function": _FUNCTION}))},
)
_DELTA = shape(
    {},
    {
        **_SPEECH,
        "role": {"const": "assistant"},
        "content": TEXT,
        "refusal": TEXT,
        "tool_calls": listed(shape({"index": COUNT}, {"id": TEXT, "function": shape({}, {"arguments": TEXT})})),
    },
)
_THOUGHT = shape({"type": {"const": "reasoning"}, "id": TEXT, "summary": listed(shape({"type": TEXT, "text": TEXT}))})
_SAID = shape(
    {
        "type": {"const": "message"},
        "id": TEXT,
        "role": {"const": "assistant"},
        "status": TEXT,
        "content": listed(shape({"type": one_of("output_text", "refusal")}, {"text": TEXT, "refusal": TEXT})),
    }
)
_CALLED = shape({"type": {"const": "function_call"}, "id": TEXT, "call_id": TEXT, "name": TEXT, "arguments": TEXT})
_RESPONSE_USAGE = shape(
    {
        "input_tokens": COUNT,
        "input_tokens_details": shape({"cached_tokens": COUNT}),
        "output_tokens": COUNT,
        "output_tokens_details": shape({"reasoning_tokens": COUNT}),
        "total_tokens": COUNT,
    }
)
_BLOCKS = (
    shape({"type": {"const": "text"}, "text": TEXT}),
    shape({"type": {"const": "thinking"}, "thinking": TEXT, "signature": TEXT}),
    shape({"type": {"const": "redacted_thinking"}, "data": TEXT}),
    shape({"type": {"const": "tool_use"}, "id": TEXT, "name": TEXT, "input": ANY_OBJECT}),
)
_MESSAGE_USAGE = shape(
    {"input_tokens": COUNT, "output_tokens": COUNT},
    {"cache_read_input_tokens": COUNT, "cache_creation_input_tokens": COUNT},
)
_OPENAI_MODEL = shape({"id": TEXT, "object": {"const": "model"}, "created": COUNT, "owned_by": TEXT})
_ANTHROPIC_MODEL = shape({"type": {"const": "model"}, "id": TEXT, "display_name": TEXT, "created_at": TEXT})

ANSWERS: Mapping[str, Schema] = {
    "ChatCompletion": shape(
        {
            "id": TEXT,
            "object": {"const": "chat.completion"},
            "created": COUNT,
            "model": TEXT,
            "choices": {
                **listed(
                    shape(
                        {
                            "index": COUNT,
                            "message": _ASSISTANT,
                            "logprobs": OBJECT_OR_NULL,
                            "finish_reason": one_of(*ENDINGS),
                        }
                    )
                ),
                "minItems": 1,
            },
            "usage": either(_CHAT_USAGE, NULL),
        }
    ),
    "ChatCompletionChunk": shape(
        {
            "id": TEXT,
            "object": {"const": "chat.completion.chunk"},
            "created": COUNT,
            "model": TEXT,
            "choices": listed(
                shape({"index": COUNT, "delta": _DELTA, "finish_reason": {"enum": [*ENDINGS, None]}}, {})
            ),
        },
        {"usage": either(_CHAT_USAGE, NULL)},
    ),
    "ModelResponse": shape(
        {
            "id": TEXT,
            "object": {"const": "response"},
            "created_at": COUNT,
            "status": one_of("in_progress", "completed", "incomplete"),
            "error": OBJECT_OR_NULL,
            "incomplete_details": either(shape({"reason": TEXT}), NULL),
            "model": TEXT,
            "output": listed(either(_THOUGHT, _SAID, _CALLED)),
            "store": {"const": False},
            "usage": either(_RESPONSE_USAGE, NULL),
        }
    ),
    "ResponseEvent": shape({"type": TEXT, "sequence_number": COUNT}, {"response": referred("ModelResponse")}),
    "Embeddings": shape(
        {
            "object": {"const": "list"},
            "model": TEXT,
            "data": listed(
                shape(
                    {
                        "object": {"const": "embedding"},
                        "index": COUNT,
                        "embedding": either(listed({"type": "number"}), TEXT),
                    }
                )
            ),
            "usage": shape({"prompt_tokens": COUNT, "total_tokens": COUNT}),
        }
    ),
    "MessageReply": shape(
        {
            "id": TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": TEXT,
            "content": listed(either(*_BLOCKS)),
            "stop_reason": {"enum": [*STOP_REASONS, None]},
            "stop_sequence": TEXT_OR_NULL,
            "usage": _MESSAGE_USAGE,
        }
    ),
    "MessageEvent": shape(
        {"type": one_of(*MESSAGE_EVENTS)},
        {"message": referred("MessageReply"), "index": COUNT, "delta": ANY_OBJECT, "usage": _MESSAGE_USAGE},
    ),
    "TokenCount": shape({"input_tokens": COUNT}),
    "OpenAIModel": _OPENAI_MODEL,
    "OpenAIModels": shape({"object": {"const": "list"}, "data": listed(_OPENAI_MODEL)}),
    "AnthropicModel": _ANTHROPIC_MODEL,
    "AnthropicModels": shape(
        {"data": listed(_ANTHROPIC_MODEL), "has_more": {"type": "boolean"}},
        {"first_id": TEXT_OR_NULL, "last_id": TEXT_OR_NULL},
    ),
}
"""By name among the components."""
EVENTS: Mapping[str, tuple[str, str]] = {
    "ChatCompletion": ("ChatCompletionChunk", "and `[DONE]` at the end"),
    "ModelResponse": ("ResponseEvent", "whose `event` is its type"),
    "MessageReply": ("MessageEvent", "whose `event` is its type"),
}
"""Of answers that can be streamed: what each event's data is, and what else comes."""


def answered(what: str, *names: str, has_facts: bool) -> dict[str, Any]:
    """A 200 whose body is one of the named answers, whole or as events."""
    shapes = [referred(name) for name in names]
    content: dict[str, Any] = {"application/json": {"schema": shapes[0] if len(shapes) == 1 else either(*shapes)}}
    if names[0] in EVENTS:
        event, more = EVENTS[names[0]]
        content["text/event-stream"] = {
            "schema": {
                "type": "string",
                "description": f"Events; the data of each is a {event} as JSON, {more}. One that tells an error is the"
                " last; comments may come in between.",
                "contentMediaType": "application/json",
                "contentSchema": referred(event),
            }
        }
    facts = {name: {"description": said, "schema": TEXT} for name, said in FACTS.items()} if has_facts else {}
    return {"description": what, "content": content, **({"headers": facts} if facts else {})}
