from dataclasses import replace
from typing import Any

import pytest

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
from bridge.errors import RejectedError
from bridge.providers.google_gemini_request import UNSIGNED, body_of, lacks_of
from tests.support.wire import asking, deployment

ADD = Tool("add", "adds", {"type": "object", "properties": {"x": {"type": "integer"}}})
SUB = Tool("sub")
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def body(request: ChatRequest, model_id: str = "gemini-2.5-flash") -> Any:
    return body_of(request, replace(deployment(dialect="gemini"), model_id=model_id))


def parts_of(*content: Any, role: Any = "user", model_id: str = "gemini-2.5-flash") -> Any:
    return body(ChatRequest("m", (Message(role, content),)), model_id)["contents"][0]["parts"]


def config(model_id: str = "gemini-2.5-flash", **fields: Any) -> Any:
    return body(asking(**fields), model_id).get("generationConfig")


def calling(**fields: Any) -> Any:
    return body(asking(tools=(ADD, SUB), **fields)).get("toolConfig", {}).get("functionCallingConfig")


def test_what_nobody_set_is_not_sent() -> None:
    assert body(asking("hi")) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_every_parameter_has_its_field() -> None:
    assert config(
        max_output_tokens=5,
        temperature=0.0,
        top_p=0.5,
        stop=("a", "b"),
        seed=7,
        n=2,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logprobs=True,
        top_logprobs=3,
    ) == {
        "maxOutputTokens": 5,
        "temperature": 0.0,
        "topP": 0.5,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "candidateCount": 2,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_logprobs_of_alternatives_turn_logprobs_on() -> None:
    assert config(top_logprobs=2) == {"responseLogprobs": True, "logprobs": 2}


def test_system_messages_are_one_instruction_apart_from_the_turns() -> None:
    sent = body(ChatRequest("m", (Message.of("system", "A"), Message.of("user", "hi"), Message.of("system", "B"))))

    assert sent["systemInstruction"] == {"parts": [{"text": "A\n\nB"}]}
    assert [turn["role"] for turn in sent["contents"]] == ["user"]


def test_neighbours_of_one_side_are_one_turn() -> None:
    sent = body(ChatRequest("m", (Message.of("user", "a"), Message.of("user", "b"), Message.of("assistant", "c"))))

    assert [(turn["role"], len(turn["parts"])) for turn in sent["contents"]] == [("user", 2), ("model", 1)]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (ImagePart("data:image/png;base64,QUJD"), {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}),
        (
            ImagePart("https://x.test/a.webp?b=1"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.test/a.webp?b=1"}},
        ),
        (ImagePart("https://x.test/a"), {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a"}}),
        (
            DocumentPart("https://x.test/a"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a"}},
        ),
        (DocumentPart("data:text/plain,hi"), {"inlineData": {"mimeType": "text/plain", "data": "aGk="}}),
        (DocumentPart("gs://b/a.wav"), {"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/a.wav"}}),
        (AudioPart("QUJD", "mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "QUJD"}}),
    ],
)
def test_files_are_sent_inline_or_by_address(part: Any, sent: Any) -> None:
    assert parts_of(TextPart("see"), part) == [{"text": "see"}, sent]


def test_a_tool_s_result_names_the_tool_and_is_an_object() -> None:
    turns = body(
        ChatRequest(
            "m",
            (
                Message("assistant", tool_calls=(ToolCall("c1", "add", '{"x": 1}'), ToolCall("c2", "sub", ""))),
                Message("tool", (TextPart('{"sum": 3}'),), tool_call_id="c1"),
                Message("tool", (TextPart("three"),), tool_call_id="c2"),
            ),
        )
    )["contents"]

    assert turns == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "add", "args": {"x": 1}}},
                {"functionCall": {"id": "c2", "name": "sub", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "add", "response": {"sum": 3}}},
                {"functionResponse": {"id": "c2", "name": "sub", "response": {"result": "three"}}},
            ],
        },
    ]


def test_files_of_a_result_are_inside_it_for_gemini_3_and_beside_it_before() -> None:
    result = Message("tool", (TextPart("{}"), ImagePart("data:image/png;base64,QQ==")), tool_call_id="c", name="look")
    file = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
    response: Any = {"id": "c", "name": "look", "response": {}}

    (new,) = body(ChatRequest("m", (result,)), "gemini-3-flash-preview")["contents"]
    (old,) = body(ChatRequest("m", (result,)))["contents"]

    assert new["parts"] == [{"functionResponse": {**response, "parts": [file]}}]
    assert old["parts"] == [{"functionResponse": response}, file]


def test_arguments_that_are_no_json_are_refused() -> None:
    broken = ChatRequest("m", (Message("assistant", tool_calls=(ToolCall("c", "add", '{"x"'),)),))

    with pytest.raises(RejectedError, match="'add'"):
        body(broken)


@pytest.mark.parametrize(
    ("model_id", "signatures"),
    [
        ("gemini-2.5-pro", [None, None]),
        ("gemini-3-pro-preview", [UNSIGNED, None]),
        ("gemini-flash-latest", [UNSIGNED, None]),
    ],
)
def test_the_first_unsigned_call_of_a_turn_is_excused_where_signatures_are_demanded(
    model_id: str, signatures: list[str | None]
) -> None:
    calls = (ToolCall("a", "add", "{}"), ToolCall("b", "add", "{}"))
    (turn,) = body(ChatRequest("m", (Message("assistant", tool_calls=calls),)), model_id)["contents"]

    assert [part.get("thoughtSignature") for part in turn["parts"]] == signatures


def test_tools_are_declared_with_their_json_schema() -> None:
    assert body(asking(tools=(ADD, SUB)))["tools"] == [
        {
            "functionDeclarations": [
                {"name": "add", "description": "adds", "parametersJsonSchema": ADD.parameters},
                {"name": "sub", "description": ""},
            ]
        }
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("sub", {"mode": "ANY", "allowedFunctionNames": ["sub"]}),
    ],
)
def test_tools_are_chosen_as_asked(choice: str | None, sent: Any) -> None:
    assert calling(tool_choice=choice) == sent


@pytest.mark.parametrize(("choice", "mode"), [(None, "VALIDATED"), ("auto", "VALIDATED"), ("required", "ANY")])
def test_a_strict_tool_is_held_to_its_schema(choice: str | None, mode: str) -> None:
    asked = asking(tools=(replace(ADD, strict=True),), tool_choice=choice)

    assert body(asked)["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


def test_a_schema_is_sent_as_it_is() -> None:
    wanted = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}

    assert config(response_format=JsonFormat(SCHEMA)) == wanted
    assert config(response_format=JsonFormat()) == {"responseMimeType": "application/json"}
    assert config("gemini-3-flash", response_format=JsonFormat(SCHEMA), tools=(ADD,)) == wanted


def test_before_gemini_3_words_ask_for_json_beside_tools() -> None:
    asked = ChatRequest(
        "m",
        (Message.of("system", "Be brief."), Message.of("user", "hi")),
        tools=(ADD,),
        response_format=JsonFormat(SCHEMA),
    )
    sent = body(asked)
    words = sent["systemInstruction"]["parts"][0]["text"]

    assert "generationConfig" not in sent
    assert words.startswith("Be brief.\n\n")
    assert '{"type": "object"' in words
    assert "JSON" in body(replace(asked, response_format=JsonFormat()))["systemInstruction"]["parts"][0]["text"]


@pytest.mark.parametrize(
    ("model_id", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128, "includeThoughts": False}),
        ("gemini-3-flash", "none", {"thinkingLevel": "minimal", "includeThoughts": False}),
        ("gemini-3-pro", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3-pro", "xhigh", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_an_effort_is_a_budget_or_a_level(model_id: str, effort: str, thinking: Any) -> None:
    assert config(model_id, reasoning_effort=effort) == {"thinkingConfig": thinking}


def test_what_the_api_has_no_field_for_is_told() -> None:
    assert lacks_of(asking(seed=1, n=2, logprobs=True, stop=("a",) * 5, tools=(ADD,))) == ()
    assert lacks_of(asking(parallel_tool_calls=False, tools=(ADD,))) == ("parallel_tool_calls",)
    assert lacks_of(asking(parallel_tool_calls=False)) == ()
    assert lacks_of(asking(stop=tuple("abcdef"))) == ("stop",)
