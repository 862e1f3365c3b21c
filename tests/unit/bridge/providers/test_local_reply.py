import json
from typing import Any

from bridge.providers.local_reply import refusal_of, whole_reply
from bridge.providers.openai_chat import OpenAiChat
from tests.support.wire import deployment

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c1", "model": "/home/someone/model.gguf", "choices": [{"delta": delta, "finish_reason": finish}]}


def test_chunks_become_one_reply_of_the_dialect() -> None:
    chunks: list[dict[str, Any]] = [
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        {"choices": [], "usage": USAGE},
    ]
    answer = OpenAiChat().parse(whole_reply(chunks, "smollm2"), deployment())

    assert (answer.text, answer.finish_reason, answer.model) == ("Hello", "stop", "smollm2")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 2


def test_pieces_of_tool_calls_are_joined() -> None:
    opening = {"index": 0, "id": "a", "function": {"name": "add", "arguments": "{"}}
    chunks = [chunk({"tool_calls": [opening]}), chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]})]
    (call,) = OpenAiChat().parse(whole_reply(chunks, "m"), deployment()).tool_calls

    assert (call.id, call.name, call.arguments) == ("a", "add", "{}")


def test_an_error_keeps_its_status_and_a_busy_one_says_when_to_come_back() -> None:
    too_long = refusal_of({"code": 400, "type": "exceed_context_size_error", "message": "x"})
    busy = refusal_of({"code": 429, "message": "busy"})

    assert too_long.status == 400
    assert json.loads(too_long.body)["error"]["type"] == "exceed_context_size_error"
    assert busy.headers["retry-after"] == "1"
    assert refusal_of({"message": "?"}).status == 500
