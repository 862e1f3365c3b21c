import json

import pytest

from bridge.chat import AudioPart, DocumentPart, ImagePart, ReasoningPart, TextPart, ToolCall
from platform_api.llm.client_dialect import InvalidRequestError
from platform_api.llm.openai_chat_request import read_body, to_request


def body(**fields: object) -> bytes:
    return json.dumps({"model": "balanced", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def test_a_plain_request_becomes_a_chat_request() -> None:
    request = to_request(read_body(body(max_tokens=5, stop="END", temperature=0.5, user="u-1", store=True)))

    assert request.model == "balanced"
    assert request.messages[0].text == "hi"
    assert (request.max_output_tokens, request.stop, request.temperature) == (5, ("END",), 0.5)


def test_parts_tools_and_schema_are_read() -> None:
    raw = body(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
        tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    )
    request = to_request(read_body(raw))

    assert request.messages[0].role == "system"
    assert request.messages[1].content == (TextPart("What is it?"), ImagePart("https://x/y.png", detail="low"))
    assert request.messages[2].tool_calls == (ToolCall("c1", "look", "{}"),)
    assert request.messages[3].tool_call_id == "c1"
    assert request.tool_choice == "look"
    assert request.response_format is not None
    assert request.response_format.schema == {"type": "object"}


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"{", None),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (body(messages=[]), "messages"),
        (body(temperature="hot"), "temperature"),
        (body(messages=[{"role": "robot", "content": "x"}]), "messages[0].role"),
        (body(logit_bias={"50256": -100}), "logit_bias"),
        (body(n=0), "n"),
        (body(functions=[{"name": "f"}]), "functions"),
        (body(modalities=["text", "audio"]), "modalities"),
        (body(verbosity="low"), "verbosity"),
        (body(prediction={"type": "content", "content": "x"}), "prediction"),
        (
            body(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]),
            "messages[0].content[0].file",
        ),
        (body(max_tokens=0), "max_tokens"),
        (body(response_format={"type": "json_schema"}), "response_format.json_schema.schema"),
        (body(tool_choice={"type": "function", "function": {"name": "look"}}), "tool_choice"),
    ],
)
def test_a_bad_body_names_the_field(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_request(read_body(raw))

    assert caught.value.param == param


def test_files_audio_and_what_providers_signed_are_read() -> None:
    asked = [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "y.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "s1"},
        {"type": "reasoning.encrypted", "data": "r1"},
    ]
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "look", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "g1"}},
    }
    messages = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [call]},
    ]
    first, second = to_request(read_body(body(messages=messages, top_k=5))).messages

    assert first.content == (DocumentPart("data:application/pdf;base64,AAAA", "y.pdf"), AudioPart("AAAA", "wav"))
    assert second.reasoning == (ReasoningPart("hm", "s1"), ReasoningPart("", "r1", is_redacted=True))
    assert second.tool_calls == (ToolCall("c1", "look", "{}", "g1"),)
