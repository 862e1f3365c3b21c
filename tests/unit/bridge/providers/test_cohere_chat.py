"""Requests in Cohere's dialect; replies and streams are tested on recorded traffic."""

from typing import Any

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest, DocumentPart, ImagePart, JsonFormat, Message, TextPart, Tool, ToolCall
from bridge.embedding import EmbeddingRequest
from bridge.errors import RejectedError, UnavailableError
from bridge.json_types import JsonValue
from bridge.providers.cohere_chat import CohereChat
from bridge.providers.cohere_embed import CohereEmbed
from bridge.providers.cohere_rerank import CohereRerank
from bridge.rerank import RerankRequest

WEATHER = Tool("weather", "Of a city.", {"type": "object"}, strict=True)
CLOCK = Tool("clock")
USER = Message.of("user", "Weather?")
ENTRY = ModelEntry("cohere/c", "cohere", "c")
TARGET = Deployment("cohere/c", "cohere", "c", "cohere", "https://c.test", ENTRY, api_key="k")


def body(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    return dict(CohereChat().build(request, TARGET, stream=stream).body)


def test_the_request_goes_to_the_second_version_with_its_key() -> None:
    wire = CohereChat().build(ChatRequest("m", (USER,)), TARGET, stream=True)

    assert (wire.path, wire.headers) == ("/v2/chat", {"authorization": "Bearer k"})
    assert wire.body["stream"] is True


def test_a_tool_loop_keeps_ids_and_texts() -> None:
    messages = (
        Message.of("system", "Be brief."),
        USER,
        Message("assistant", (), (ToolCall("t", "weather", ""),)),
        Message("tool", (TextPart("rain"),), tool_call_id="t"),
    )

    assert body(ChatRequest("m", messages))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "t", "content": "rain"},
    ]


def test_every_parameter_has_its_place() -> None:
    request = ChatRequest(
        "m", (USER,), max_output_tokens=9, temperature=0.5, top_p=0.9, stop=("x",), seed=3, frequency_penalty=0.1,
        presence_penalty=0.2, logprobs=True, reasoning_effort="low", response_format=JsonFormat({"type": "object"}),
    )  # fmt: skip
    built = body(request)
    del built["messages"]

    assert built == {
        "model": "c", "max_tokens": 9, "temperature": 0.5, "p": 0.9, "stop_sequences": ["x"], "seed": 3,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "logprobs": True, "stream": False,
        "thinking": {"type": "enabled", "token_budget": 1024},
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "offered", "word"),
    [
        (None, ["weather", "clock"], None),
        ("auto", ["weather", "clock"], None),
        ("none", ["weather", "clock"], "NONE"),
        ("required", ["weather", "clock"], "REQUIRED"),
        ("clock", ["clock"], "REQUIRED"),
    ],
)
def test_a_named_tool_is_forced_by_offering_nothing_else(choice: str, offered: list[str], word: str | None) -> None:
    built = body(ChatRequest("m", (USER,), tools=(WEATHER, CLOCK), tool_choice=choice))

    assert [tool["function"]["name"] for tool in built["tools"]] == offered
    assert built.get("tool_choice") == word
    assert built.get("strict_tools") == (True if "weather" in offered else None)


def test_what_the_api_cannot_do_is_named_or_refused() -> None:
    request = ChatRequest("m", (USER,), n=2, top_logprobs=3, tools=(WEATHER,), parallel_tool_calls=False)

    assert set(CohereChat().lacks(request, TARGET)) == {"n", "top_logprobs", "parallel_tool_calls"}
    with pytest.raises(RejectedError):
        body(ChatRequest("m", (Message("user", (DocumentPart("https://x.test/a.pdf"),)),)))


def test_images_are_parts() -> None:
    parts = (TextPart("What is it?"), ImagePart("https://x.test/a.png", "low"))

    assert body(ChatRequest("m", (Message("user", parts),)))["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
    ]


def test_an_answer_that_broke_off_is_no_answer() -> None:
    with pytest.raises(UnavailableError, match="ERROR"):
        CohereChat().parse({"message": {"content": list[JsonValue]()}, "finish_reason": "ERROR"}, TARGET)


def test_embeddings_say_what_their_texts_are_for() -> None:
    wire = CohereEmbed().build(EmbeddingRequest("m", ("a",), 256, "query"), TARGET)

    assert wire.body == {
        "model": "c", "texts": ["a"], "input_type": "search_query", "embedding_types": ["float"],
        "output_dimension": 256,
    }  # fmt: skip


def test_rankings_are_asked_for_at_the_vendors_own_path() -> None:
    request = RerankRequest("m", "q", ("a", "b"), top_n=1)
    together = Deployment("t/c", "together", "c", "openai", "https://t.test/v1", ENTRY)

    assert CohereRerank().build(request, TARGET).path == "/v2/rerank"
    assert CohereRerank().build(request, together).path == "/rerank"
    assert CohereRerank().build(request, TARGET).body == {
        "model": "c",
        "query": "q",
        "documents": ["a", "b"],
        "top_n": 1,
    }
