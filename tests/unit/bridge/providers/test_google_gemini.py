"""Requests in Google's dialect; replies and streams are tested on recorded traffic."""

from typing import Any

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    JsonFormat,
    Message,
    TextPart,
    Tool,
    ToolCall,
)
from bridge.errors import MalformedReplyError, RejectedError
from bridge.json_types import JsonObject
from bridge.providers.google_gemini import GoogleGemini
from bridge.providers.google_gemini_stream import put_argument

WEATHER = Tool("weather", "Of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
USER = Message.of("user", "Weather in Oslo?")
VERTEX = "https://europe-west4-aiplatform.test/v1/projects/p/locations/europe-west4/publishers/google"


def target(model_id: str = "gemini-3.8-flash", base_url: str = "https://g.test") -> Deployment:
    entry = ModelEntry(f"google/{model_id}", "google", model_id)
    return Deployment(entry.name, "google", model_id, "gemini", base_url, entry, api_key="k")


def body(request: ChatRequest, model_id: str = "gemini-3.8-flash") -> dict[str, Any]:
    return dict(GoogleGemini().build(request, target(model_id), stream=False).body)


@pytest.mark.parametrize(
    ("base_url", "stream", "path"),
    [
        ("https://g.test", False, "/v1beta/models/gemini-3.8-flash:generateContent"),
        ("https://g.test/v1beta", True, "/models/gemini-3.8-flash:streamGenerateContent"),
        (VERTEX, False, "/models/gemini-3.8-flash:generateContent"),
    ],
)
def test_the_path_names_model_and_operation(base_url: str, stream: bool, path: str) -> None:
    wire = GoogleGemini().build(ChatRequest("m", (USER,)), target(base_url=base_url), stream=stream)

    assert wire.path == path
    assert dict(wire.query) == ({"alt": "sse"} if stream else {})
    key = {"authorization": "Bearer k"} if base_url == VERTEX else {"x-goog-api-key": "k"}
    assert wire.headers == key


def test_a_tool_loop_is_told_in_turns_with_names_and_signatures() -> None:
    calls = (ToolCall("c1", "weather", '{"city": "Oslo"}', signature="sig"), ToolCall("c2", "weather", "{}"))
    messages = (
        Message.of("system", "Be brief."),
        USER,
        Message("assistant", (), calls),
        Message("tool", (TextPart('{"sky": "rain"}'),), tool_call_id="c1"),
        Message("tool", (TextPart("dry"),), tool_call_id="c2"),
    )

    built = body(ChatRequest("m", messages, tools=(WEATHER,)))

    assert built["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert built["contents"] == [
        {"role": "user", "parts": [{"text": "Weather in Oslo?"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "sig"},
                {"functionCall": {"id": "c2", "name": "weather", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "weather", "response": {"sky": "rain"}}},
                {"functionResponse": {"id": "c2", "name": "weather", "response": {"result": "dry"}}},
            ],
        },
    ]
    assert built["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == WEATHER.parameters


def test_a_call_of_another_model_is_marked_for_the_third_generation_only() -> None:
    request = ChatRequest("m", (USER, Message("assistant", (), (ToolCall("c", "weather", "{}"),))))

    assert body(request)["contents"][1]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in body(request, "gemini-2.5-flash")["contents"][1]["parts"][0]


def test_images_documents_and_audio_go_inline_or_by_address() -> None:
    parts = (
        ImagePart("data:image/png;base64,aGk="),
        ImagePart("https://x.test/a.webp?size=1"),
        DocumentPart("https://x.test/report"),
        AudioPart("aGk=", "mp3"),
    )

    assert body(ChatRequest("m", (Message("user", parts),)))["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.test/a.webp?size=1"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/report"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "aGk="}},
    ]


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_how_tools_may_be_chosen(choice: str, mode: object) -> None:
    request = ChatRequest("m", (USER,), tools=(WEATHER,), tool_choice=choice)

    assert body(request)["toolConfig"] == {"functionCallingConfig": mode}


def test_every_parameter_has_its_place() -> None:
    request = ChatRequest(
        "m", (USER,), max_output_tokens=9, temperature=0.5, top_p=0.9, stop=("x",), seed=3, n=2, frequency_penalty=0.1,
        presence_penalty=0.2, logprobs=True, top_logprobs=4, response_format=JsonFormat({"type": "object"}),
    )  # fmt: skip

    assert body(request)["generationConfig"] == {
        "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"], "seed": 3, "candidateCount": 2,
        "frequencyPenalty": 0.1, "presencePenalty": 0.2, "responseLogprobs": True, "logprobs": 4,
        "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
    }  # fmt: skip
    assert GoogleGemini().lacks(request, target()) == ()


@pytest.mark.parametrize(
    ("model_id", "effort", "config"),
    [
        ("gemini-3.8-flash", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128, "includeThoughts": False}),
    ],
)
def test_an_effort_is_a_level_or_a_budget(model_id: str, effort: str, config: object) -> None:
    request = ChatRequest("m", (USER,), reasoning_effort=effort)

    assert body(request, model_id)["generationConfig"]["thinkingConfig"] == config


def test_one_call_at_a_time_cannot_be_asked_for() -> None:
    request = ChatRequest("m", (USER,), tools=(WEATHER,), parallel_tool_calls=False)

    assert GoogleGemini().lacks(request, target()) == ("parallel_tool_calls",)


def test_a_call_that_its_own_server_could_not_read_is_a_malformed_reply() -> None:
    reply: JsonObject = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}

    with pytest.raises(MalformedReplyError, match="MALFORMED_FUNCTION_CALL"):
        GoogleGemini().parse(reply, target())


def test_broken_arguments_in_the_conversation_are_refused() -> None:
    with pytest.raises(RejectedError):
        body(ChatRequest("m", (Message("assistant", (), (ToolCall("c", "weather", "{"),)),)))


def test_streamed_arguments_are_put_in_their_places() -> None:
    arguments: dict[str, object] = {}
    for path, kind, value in (
        ("$.city", "stringValue", "Os"),
        ("$.city", "stringValue", "lo"),
        ("$.days[0].wet", "boolValue", True),
        ("$.days[1].wet", "nullValue", "NULL_VALUE"),
        ("$['how many']", "numberValue", 2),
        ("$", "stringValue", "nowhere"),
    ):
        put_argument(arguments, {"jsonPath": path, kind: value})

    assert arguments == {"city": "Oslo", "days": [{"wet": True}, {"wet": None}], "how many": 2}
