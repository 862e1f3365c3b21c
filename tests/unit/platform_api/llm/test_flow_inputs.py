from typing import Any

import pytest

from bridge.chat import ChatRequest, Message
from platform_api.llm.client_dialect import InvalidRequestError
from platform_api.llm.flow_inputs import answer_text, flow_inputs

TURNS = (Message.of("user", "hi"), Message.of("assistant", "hello"), Message.of("user", "and?"))
TEXT: dict[str, Any] = {"type": "string"}


def inputs(declared: dict[str, Any], given: str | None = None) -> dict[str, Any]:
    return flow_inputs({"type": "object", "properties": declared}, ChatRequest("flow/x", TURNS), given)


def test_the_last_message_goes_where_a_flow_expects_it() -> None:
    assert inputs({"tone": TEXT, "question": TEXT}) == {"question": "and?"}
    assert inputs({"ticket": TEXT, "n": {"type": "integer"}}) == {"ticket": "and?"}
    assert inputs({"ticket": TEXT, "tone": TEXT}, '{"tone": "calm"}') == {"ticket": "and?", "tone": "calm"}


def test_earlier_turns_go_into_the_history() -> None:
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]

    assert inputs({"message": TEXT, "history": {"type": "array"}}) == {"message": "and?", "history": history}


def test_what_was_given_is_kept() -> None:
    assert inputs({"message": TEXT}, '{"message": "mine"}') == {"message": "mine"}
    assert inputs({}) == {}


@pytest.mark.parametrize(
    ("declared", "given"), [({"a": TEXT, "b": TEXT}, None), ({"message": TEXT}, "{"), ({"message": TEXT}, "[1]")]
)
def test_what_does_not_fit_is_said(declared: dict[str, Any], given: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        inputs(declared, given)


def test_a_conversation_without_a_user_is_no_question() -> None:
    with pytest.raises(InvalidRequestError):
        flow_inputs({}, ChatRequest("flow/x", (Message.of("system", "Be brief."),)), None)


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"label": "outage"}, "outage"),
        ({"n": 2}, '{"n": 2}'),
        ({"n": 2, "answer": "two"}, "two"),
        ({"a": "x", "b": "y"}, '{"a": "x", "b": "y"}'),
        ({}, "{}"),
    ],
)
def test_outputs_become_an_answer(outputs: dict[str, Any], text: str) -> None:
    assert answer_text(outputs) == text
