import json
from typing import Any

from bridge.providers.mock_answer import Answer, answer_for, asked_of
from bridge.providers.mock_script import MockOptions, MockReply

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "one", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "two", "parameters": {"type": "object", "properties": {}}}},
]


def answered(reply: MockReply | None = None, text: str = "Hello there", **fields: Any) -> Answer:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return answer_for(body, asked_of(body), reply, MockOptions())


def test_without_a_script_it_echoes_so_that_other_input_gives_other_output() -> None:
    assert answered().text == "mock answer to: Hello there"
    assert answered(text="Bye").text == "mock answer to: Bye"


def test_a_schema_is_filled_and_json_mode_is_json() -> None:
    shaped = answered(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})

    assert json.loads(shaped.text)["label"] in ("a", "b")
    assert json.loads(answered(response_format={"type": "json_object"}).text) == {
        "answer": "mock answer to: Hello there"
    }


def test_a_tool_is_called_only_when_it_must_be() -> None:
    assert answered(tools=TOOLS).tool_calls == ()
    assert answered(tools=TOOLS, tool_choice="auto").tool_calls == ()
    assert answered(tools=TOOLS, tool_choice="required").tool_calls[0][0] == "one"
    named = answered(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "two"}})
    assert named.tool_calls[0][0] == "two"
    assert named.finish_reason == "tool_calls"


def test_a_script_decides_text_json_calls_usage_and_end() -> None:
    reply = MockReply.model_validate(
        {"json": {"ok": True}, "finish_reason": "length", "usage": {"input_tokens": 7, "output_tokens": 9}}
    )
    answer = answered(reply)

    assert answer.text == '{"ok": true}'
    assert answer.finish_reason == "length"
    assert answer.usage.output_tokens == 9
    assert answered(MockReply(text="re: {text}")).text == "re: Hello there"


def test_arguments_given_as_text_are_sent_as_they_are() -> None:
    reply = MockReply.model_validate({"tool_calls": [{"name": "f", "arguments": "{broken"}]})

    assert answered(reply).tool_calls == (("f", "{broken"),)


def test_the_output_limit_cuts_the_answer() -> None:
    answer = answered(max_tokens=2)

    assert answer.text == "mock ans"
    assert answer.finish_reason == "length"
    assert answer.usage.output_tokens == 2


def test_what_was_asked_is_read_from_strings_and_parts() -> None:
    asked = asked_of(
        {
            "model": "m",
            "stream": True,
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url"}]},
                {"role": "assistant", "content": None},
            ],
        }
    )

    assert asked.newest_text == "look"
    assert asked.all_text == "be kind\nlook\n"
    assert asked.is_stream
