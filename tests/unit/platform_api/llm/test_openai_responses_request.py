import json
from typing import Any

import pytest

from bridge.chat import ImagePart, Message, ReasoningPart, TextPart, ToolCall
from platform_api.llm.client_dialect import InvalidRequestError
from platform_api.llm.openai_responses_request import read_body, to_request


def body(**fields: object) -> bytes:
    return json.dumps({"model": "balanced", "input": "hi", **fields}).encode()


def test_items_of_one_turn_are_one_message() -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look."},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "s1",
        },
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "r1"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
    ]
    request = to_request(read_body(body(input=items, instructions="Be kind.")))

    assert request.messages == (
        Message.of("system", "Be kind."),
        Message.of("system", "Be brief."),
        Message("user", (TextPart("Look."), ImagePart("https://x/y.png", detail="low"))),
        Message(
            "assistant",
            tool_calls=(ToolCall("c1", "look", "{}"),),
            reasoning=(ReasoningPart("hm", "s1"), ReasoningPart("", "r1", is_redacted=True)),
        ),
        Message("tool", (TextPart("a cat"),), tool_call_id="c1"),
    )


def test_parameters_have_their_places() -> None:
    schema = {"type": "object"}
    request = to_request(
        read_body(
            body(
                max_output_tokens=5,
                temperature=0.5,
                top_p=0.9,
                top_logprobs=2,
                reasoning={"effort": "low"},
                text={"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": True}},
                tools=[{"type": "function", "name": "look", "parameters": schema}],
                tool_choice={"type": "function", "name": "look"},
                store=True,
                metadata={"a": "b"},
            )
        )
    )

    assert (request.max_output_tokens, request.temperature, request.top_p) == (5, 0.5, 0.9)
    assert (request.logprobs, request.top_logprobs, request.reasoning_effort) == (True, 2, "low")
    assert request.response_format is not None
    assert (request.response_format.name, request.response_format.schema) == ("s", schema)
    assert (request.tools[0].name, request.tool_choice) == ("look", "look")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format.schema"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "look"}]}, "input[0].call_id"),
        ({"background": True}, "background"),
        ({"tool_choice": {"type": "function", "name": "look"}}, "tool_choice.name"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
    ],
)
def test_what_is_not_served_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_request(read_body(body(**fields)))

    assert caught.value.param == param
