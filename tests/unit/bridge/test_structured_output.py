import json

import pytest

from bridge.chat import JsonFormat, Message
from bridge.errors import SchemaViolationError, UnsupportedFeatureError
from bridge.json_types import JsonObject
from bridge.structured_output import answered_json, extract_json, json_mode, re_ask, schema_problem, shaped_for
from tests.support.wire import asking, deployment

LABEL = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
    "required": ["label"],
}


def test_the_strongest_mode_that_a_model_has_is_taken() -> None:
    assert json_mode({"json_schema", "json_object"}) == "native"
    assert json_mode({"json_object"}) == "json_object"
    assert json_mode({"chat"}) == "prompt"


def test_a_native_schema_needs_no_words() -> None:
    request = asking(response_format=JsonFormat(LABEL))

    assert shaped_for(request, deployment(capabilities=frozenset({"json_schema"}))) == request


def test_json_mode_gets_the_schema_in_words_and_keeps_the_mode() -> None:
    shaped = shaped_for(
        asking(response_format=JsonFormat(LABEL, name="x")), deployment(capabilities=frozenset({"json_object"}))
    )

    assert shaped.response_format == JsonFormat(name="x")
    assert json.dumps(LABEL, separators=(",", ":")) in shaped.messages[0].text
    assert shaped.messages[0].role == "system"


def test_a_model_without_any_mode_is_asked_in_words_alone() -> None:
    shaped = shaped_for(asking(response_format=JsonFormat(LABEL)), deployment())

    assert shaped.response_format is None
    assert "JSON Schema" in shaped.messages[0].text


def test_the_words_join_a_system_message_that_is_there() -> None:
    messages = (Message.of("system", "Be brief."), Message.of("user", "hi"))
    request = type(asking())(model="m", messages=messages, response_format=JsonFormat(LABEL))
    shaped = shaped_for(request, deployment())

    assert [message.role for message in shaped.messages] == ["system", "user"]
    assert shaped.messages[0].text.startswith("Be brief.\n\n")


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "a"}',
        '  {"label": "a"}\n',
        'Here you are:\n```json\n{"label": "a"}\n```\nAnything else?',
        '```\r\n{"label": "a"}```',
        'The answer is {"label": "a"}, I think.',
        'Set {x} gives {"label": "a"}',
    ],
)
def test_json_is_found_in_what_surrounds_it(text: str) -> None:
    assert extract_json(text) == {"label": "a"}


@pytest.mark.parametrize("text", ["", "no json here", "{broken", "NaN", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    with pytest.raises(SchemaViolationError) as caught:
        extract_json(text)

    assert caught.value.text == text
    assert len(caught.value.problem) < 300


def test_scalars_and_arrays_are_json_too() -> None:
    assert extract_json("42") == 42
    assert extract_json("Result: [1, 2]") == [1, 2]


def test_a_violation_says_where_and_why() -> None:
    with pytest.raises(SchemaViolationError) as caught:
        answered_json('{"label": "c"}', JsonFormat(LABEL))

    assert caught.value.problem == "at /label: 'c' is not one of ['a', 'b']"


def test_further_violations_are_counted() -> None:
    problem = schema_problem({"label": "c", "n": "x"}, LABEL)

    assert problem is not None
    assert problem.endswith("(and 1 more)")


def test_a_valid_answer_comes_back_as_a_value() -> None:
    assert answered_json('```json\n{"label": "b"}\n```', JsonFormat(LABEL)) == {"label": "b"}
    assert answered_json('{"anything": 1}', JsonFormat()) == {"anything": 1}


def test_a_schema_that_is_none_is_the_callers_fault() -> None:
    with pytest.raises(UnsupportedFeatureError):
        schema_problem(1, {"type": "nonsense"})


@pytest.mark.parametrize("reference", ["#/$defs/none", "http://127.0.0.1:9/s.json", "file:///etc/hostname", "#none"])
def test_a_schema_that_refers_outside_itself_is_refused_and_nothing_is_fetched(reference: str) -> None:
    with pytest.raises(UnsupportedFeatureError, match="not within it"):
        schema_problem({"other": 1}, {"type": "object", "properties": {"a": {"items": {"$ref": reference}}}})
    with pytest.raises(UnsupportedFeatureError, match="not within it"):
        schema_problem({"a": 1}, {"properties": {"a": {"$id": "https://x.test/a", "$ref": reference}}})


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"city": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/city"}}},
        {"$defs": {"city": {"$anchor": "city", "type": "string"}}, "properties": {"a": {"$ref": "#city"}}},
        {"$id": "https://x.test/s", "$defs": {"c": {"type": "string"}}, "properties": {"a": {"$ref": "s#/$defs/c"}}},
        {"properties": {"a": {"type": "string"}, "more": {"$ref": "#"}}},
    ],
)
def test_references_within_a_schema_are_followed(schema: JsonObject) -> None:
    assert schema_problem({"a": "x"}, schema) is None
    assert schema_problem({"a": 1}, schema) is not None


def test_asking_again_shows_the_answer_and_what_is_wrong_with_it() -> None:
    again = re_ask(asking("classify"), '{"label": "c"}', "at /label: 'c' is not one of ['a', 'b']")

    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert "at /label" in again.messages[-1].text


def test_asking_again_after_an_empty_answer_sends_no_empty_message() -> None:
    again = re_ask(asking("classify"), "", "the answer is no JSON, but: nothing")

    assert [message.role for message in again.messages] == ["user", "user"]
