from dataclasses import replace

import pytest

from bridge.caching.fingerprint import fingerprint, may_look_up, may_store, ttl_s
from bridge.chat import ChatRequest, ChatResponse, JsonFormat, Message, RoutingOverrides, Tool, ToolCall
from bridge.config import CacheConfig

PLAIN = ChatRequest("m", (Message.of("user", "hi"),))
ANSWER = ChatResponse("hello", "stop", None)

CHANGES: list[dict[str, object]] = [
    {"messages": (Message.of("user", "ho"),)},
    {"messages": (Message.of("system", "hi"),)},
    {"max_output_tokens": 5},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"stop": ("x",)},
    {"seed": 1},
    {"reasoning_effort": "high"},
    {"tools": (Tool("search"),)},
    {"tools": (Tool("search", parameters={"type": "object"}),)},
    {"tool_choice": "required"},
    {"response_format": JsonFormat()},
    {"response_format": JsonFormat(schema={"type": "object"})},
    {"frequency_penalty": 0.1},
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_shapes_the_answer_is_part_of_the_key(change: dict[str, object]) -> None:
    changed = replace(PLAIN, **change)  # pyright: ignore[reportArgumentType]  # fields by name

    assert fingerprint("o", changed, "m") != fingerprint("o", PLAIN, "m")


def test_all_changes_have_different_keys() -> None:
    keys = {fingerprint("o", replace(PLAIN, **change), "m") for change in CHANGES}  # pyright: ignore[reportArgumentType]  # fields by name

    assert len(keys) == len(CHANGES)


def test_organisation_and_models_are_part_of_the_key() -> None:
    assert len({fingerprint(org, PLAIN, models) for org in ("o", "p") for models in ("m", "n")}) == 4


def test_how_the_answer_is_fetched_is_no_part_of_the_key() -> None:
    changed = replace(PLAIN, deadline_s=3.0, routing=RoutingOverrides(policy="best"))

    assert fingerprint("o", changed, "m") == fingerprint("o", PLAIN, "m")


def test_the_key_is_stable_and_names_its_organisation() -> None:
    assert fingerprint("o", PLAIN, "m") == fingerprint("o", replace(PLAIN), "m")
    assert fingerprint("o", PLAIN, "m").startswith("answer:o:")


def test_agent_loops_and_several_answers_are_never_looked_up() -> None:
    loop = replace(PLAIN, messages=(*PLAIN.messages, Message("tool", tool_call_id="1")))
    asked = replace(PLAIN, messages=(*PLAIN.messages, Message("assistant", tool_calls=(ToolCall("1", "f", "{}"),))))

    assert may_look_up(PLAIN)
    assert not any(may_look_up(one) for one in (loop, asked, replace(PLAIN, n=2), replace(PLAIN, logprobs=True)))


def test_only_complete_answers_without_tool_calls_are_stored() -> None:
    assert may_store(PLAIN, ANSWER)
    for reason in ("length", "content_filter", "tool_calls", "other", None):
        assert not may_store(PLAIN, replace(ANSWER, finish_reason=reason))
    assert not may_store(PLAIN, replace(ANSWER, tool_calls=(ToolCall("1", "f", "{}"),)))


def test_answers_at_temperature_zero_stay_longer_and_an_alias_may_say_how_long() -> None:
    config = CacheConfig()

    assert ttl_s(PLAIN, config, None) == 3600
    assert ttl_s(replace(PLAIN, temperature=0), config, None) == 86_400
    assert ttl_s(PLAIN, config, 5) == 5


def test_where_a_system_message_stands_is_part_of_the_key() -> None:
    before = (Message.of("user", "hi"), Message.of("system", "Be brief."), Message.of("user", "ho"))
    first = (before[1], before[0], before[2])

    assert fingerprint("o", replace(PLAIN, messages=before), "m") != fingerprint(
        "o", replace(PLAIN, messages=first), "m"
    )
