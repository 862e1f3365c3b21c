"""Requests in Ollama's own dialect; replies and streams are tested on recorded traffic."""

from typing import Any

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest, ImagePart, JsonFormat, Message, TextPart, Tool, ToolCall
from bridge.errors import RejectedError, UnavailableError
from bridge.providers.ollama_chat import OllamaChat
from bridge.streaming import ServerSentEvent

USER = Message.of("user", "Weather?")
WEATHER = Tool("weather")


def target(base_url: str = "http://127.0.0.1:11434") -> Deployment:
    entry = ModelEntry("ollama/l", "ollama", "l", context_window=8192)
    return Deployment("ollama/l", "ollama", "l", "ollama", base_url, entry)


def body(request: ChatRequest) -> dict[str, Any]:
    return dict(OllamaChat().build(request, target(), stream=False).body)


def test_its_own_api_and_the_compatible_one_are_told_apart_by_the_address() -> None:
    request = ChatRequest("m", (USER,))

    assert OllamaChat().build(request, target(), stream=False).path == "/api/chat"
    assert OllamaChat().build(request, target("http://h/v1"), stream=False).path == "/chat/completions"


def test_parameters_are_options_and_the_context_is_as_large_as_known() -> None:
    request = ChatRequest(
        "m", (USER,), max_output_tokens=9, temperature=0.0, top_p=0.9, top_k=7, stop=("x",), seed=3,
        response_format=JsonFormat({"type": "object"}), reasoning_effort="high",
    )  # fmt: skip
    built = body(request)

    assert built["options"] == {
        "num_predict": 9, "num_ctx": 8192, "temperature": 0.0, "top_p": 0.9, "top_k": 7, "stop": ["x"], "seed": 3,
    }  # fmt: skip
    assert (built["format"], built["think"], built["stream"]) == ({"type": "object"}, "high", False)


def test_tools_images_and_results_have_their_places() -> None:
    messages = (
        Message("user", (TextPart("See"), ImagePart("data:image/png;base64,aGk="))),
        Message("assistant", (), (ToolCall("t", "weather", '{"city": "Oslo"}'),)),
        Message("tool", (TextPart("rain"),), tool_call_id="t"),
    )
    built = body(ChatRequest("m", messages, tools=(WEATHER,)))

    assert built["messages"] == [
        {"role": "user", "content": "See", "images": ["aGk="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "content": "rain", "tool_name": "weather"},
    ]
    assert built["tools"][0]["function"]["name"] == "weather"
    assert "tools" not in body(ChatRequest("m", messages, tools=(WEATHER,), tool_choice="none"))


def test_what_it_cannot_do_is_named_or_refused() -> None:
    forced = ChatRequest("m", (USER,), n=2, tools=(WEATHER,), tool_choice="required")

    assert set(OllamaChat().lacks(forced, target())) == {"n", "tool_choice"}
    with pytest.raises(RejectedError, match="data: URLs"):
        body(ChatRequest("m", (Message("user", (ImagePart("https://x.test/a.png"),)),)))


def test_tool_calls_of_a_stream_are_whole_and_finish_it() -> None:
    reader = OllamaChat().reader(target())
    call = '{"message": {"content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"a": 1}}}]}}'
    first = reader.read(ServerSentEvent(call))
    last = reader.read(
        ServerSentEvent('{"done": true, "done_reason": "stop", "eval_count": 3, "prompt_eval_count": 2}')
    )

    assert [(delta.name, delta.arguments) for delta in first[0].tool_calls] == [("weather", '{"a":1}')]
    assert last[0].finish_reason == "tool_calls"
    assert reader.is_done


def test_an_error_inside_a_stream_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="out of memory"):
        OllamaChat().reader(target()).read(ServerSentEvent('{"error": "out of memory"}'))
