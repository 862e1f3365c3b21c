"""Feature by dialect: carried to the provider, or refused by name, or left out where the caller allows it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.chat import AudioPart, ChatRequest, DocumentPart, ImagePart, JsonFormat, Message, TextPart, Tool
from bridge.providers.adapter import chat_adapter
from bridge.providers.mock_dialects import MOCK_DIALECTS
from bridge.shaping import DROPPABLE, without_features
from tests.support.wire import deployment

DIALECTS = sorted(MOCK_DIALECTS)
PNG, PDF = "data:image/png;base64,aW1hZ2U=", "data:application/pdf;base64,cGRm"
TOOLS = (Tool("weather", "", {"type": "object"}),)
BASE = ChatRequest("acme/m", (Message.of("user", "hi"),), max_output_tokens=4000)
FEATURES: dict[str, ChatRequest] = {
    "temperature": replace(BASE, temperature=0.5),
    "top_p": replace(BASE, top_p=0.5),
    "top_k": replace(BASE, top_k=5),
    "stop": replace(BASE, stop=("END",)),
    "seed": replace(BASE, seed=7),
    "n": replace(BASE, n=2),
    "frequency_penalty": replace(BASE, frequency_penalty=0.5),
    "presence_penalty": replace(BASE, presence_penalty=0.5),
    "logprobs": replace(BASE, logprobs=True),
    "top_logprobs": replace(BASE, logprobs=True, top_logprobs=2),
    "reasoning_effort": replace(BASE, reasoning_effort="low"),
    "tools": replace(BASE, tools=TOOLS),
    "tool_choice": replace(BASE, tools=TOOLS, tool_choice="required"),
    "parallel_tool_calls": replace(BASE, tools=TOOLS, parallel_tool_calls=False),
    "response_format": replace(BASE, response_format=JsonFormat({"type": "object"})),
    "images": replace(BASE, messages=(Message("user", (TextPart("hi"), ImagePart(PNG))),)),
    "documents": replace(BASE, messages=(Message("user", (TextPart("hi"), DocumentPart(PDF))),)),
    "audio": replace(BASE, messages=(Message("user", (TextPart("hi"), AudioPart("c291bmQ=", "wav"))),)),
}
LACKS: dict[str, dict[str, str]] = {
    "openai": {"top_k": "top_k"},
    "anthropic": {
        "seed": "seed",
        "n": "n",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "audio": "audio",
    },
    "gemini": {"parallel_tool_calls": "parallel_tool_calls"},
    "cohere": {
        "n": "n",
        "top_logprobs": "top_logprobs",
        "parallel_tool_calls": "parallel_tool_calls",
        "documents": "documents",
        "audio": "audio",
    },
    "ollama": {
        "n": "n",
        "tool_choice": "tool_choice",
        "parallel_tool_calls": "parallel_tool_calls",
        "documents": "documents",
        "audio": "audio",
    },
}
"""What a dialect has no words for, and the name it is refused by."""
CELLS = [(dialect, feature) for dialect in DIALECTS for feature in FEATURES]


def base_of(feature: str) -> ChatRequest:
    """The request without the feature, and with what it stands beside."""
    if feature == "top_logprobs":
        return FEATURES["logprobs"]
    return replace(BASE, tools=TOOLS) if feature in ("tool_choice", "parallel_tool_calls") else BASE


def sent(dialect: str, request: ChatRequest) -> dict[str, Any]:
    target = deployment(dialect=dialect, base_url="https://acme.test")
    return json.loads(json.dumps(chat_adapter(dialect).build(request, target, stream=False).body))


@pytest.mark.parametrize(("dialect", "feature"), [cell for cell in CELLS if cell[1] not in LACKS[cell[0]]])
def test_a_feature_that_a_dialect_has_is_carried(dialect: str, feature: str) -> None:
    target = deployment(dialect=dialect, base_url="https://acme.test")

    assert chat_adapter(dialect).lacks(FEATURES[feature], target) == ()
    assert sent(dialect, FEATURES[feature]) != sent(dialect, base_of(feature))


@pytest.mark.parametrize(("dialect", "feature"), [cell for cell in CELLS if cell[1] in LACKS[cell[0]]])
def test_a_feature_that_a_dialect_lacks_is_named(dialect: str, feature: str) -> None:
    target = deployment(dialect=dialect, base_url="https://acme.test")

    assert LACKS[dialect][feature] in chat_adapter(dialect).lacks(FEATURES[feature], target)


@pytest.mark.parametrize(("dialect", "feature"), [cell for cell in CELLS if cell[1] in LACKS[cell[0]]])
def test_what_may_be_dropped_is_sent_without_and_content_never_is(dialect: str, feature: str) -> None:
    target = deployment(dialect=dialect, base_url="https://acme.test")
    shaped = without_features(FEATURES[feature], target, DROPPABLE)

    if feature in ("documents", "audio"):
        assert chat_adapter(dialect).lacks(shaped, target) == (feature,)
    else:
        assert sent(dialect, shaped) == sent(dialect, base_of(feature))


def test_every_cell_is_in_the_table() -> None:
    assert set(LACKS) == set(DIALECTS)
    assert len(CELLS) == 90
