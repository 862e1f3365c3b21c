import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest, ChatResponse, JsonFormat, Message, ToolCall
from bridge.config import BridgeConfig, CascadeConfig
from bridge.decision import Escalation
from bridge.errors import ConfigurationError, UnavailableError
from bridge.escalation import Climbed, asked_with_confidence, climb, escalation_reason, mean_logprob

ASKED = ChatRequest("x", (Message.of("user", "hi"),))
RULES = CascadeConfig(min_chars=3, refusal_patterns=(r"(?i)^i cannot",), min_mean_logprob=-1.0)
GOOD = ChatResponse("Paris it is.", "stop", None)
SHORT = replace(GOOD, text="ok")


def target(name: str) -> Deployment:
    entry = ModelEntry(name, "mock", name)
    return Deployment(name, "mock", name, "openai", "mock://provider", entry)


SMALL, MIDDLE, LARGE = target("mock/small"), target("mock/middle"), target("mock/large")


def logprobs(*values: float) -> dict[str, object]:
    return {"content": [{"token": "x", "logprob": value} for value in values]}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (GOOD, None),
        (SHORT, "2 characters, at least 3 wanted"),
        (replace(GOOD, refusal="no"), "it refused"),
        (replace(GOOD, text="I cannot help with that."), "matches the refusal pattern '(?i)^i cannot'"),
        (replace(GOOD, finish_reason="length"), "cut by the token limit"),
        (replace(GOOD, logprobs=logprobs(-0.5, -2.5)), "mean log probability of -1.50, at least -1 wanted"),
        (replace(GOOD, logprobs=logprobs(-0.5, -0.1)), None),
        (ChatResponse("", "tool_calls", None, (ToolCall("1", "search", "{}"),)), None),
    ],
)  # fmt: skip
def test_what_will_not_do_and_why(response: ChatResponse, expected: str | None) -> None:
    assert escalation_reason(response, ASKED, RULES) == expected


def test_json_that_does_not_validate_will_not_do() -> None:
    asked = replace(ASKED, response_format=JsonFormat({"type": "object", "required": ["city"]}))

    assert escalation_reason(replace(GOOD, text='{"city": "Paris"}'), asked, RULES) is None
    assert (escalation_reason(replace(GOOD, text='{"town": "Paris"}'), asked, RULES) or "").startswith(
        "not the JSON that was asked for: at /: 'city' is a required property"
    )


def test_an_answer_cut_by_the_limit_may_be_allowed() -> None:
    assert escalation_reason(replace(GOOD, finish_reason="length"), ASKED, CascadeConfig(on_length=False)) is None


def test_confidence_is_read_where_there_is_any() -> None:
    assert mean_logprob(None) is None
    assert mean_logprob({"content": []}) is None
    assert mean_logprob({"content": [{"logprob": -1.0}, {"logprob": -2.0}, {"token": "x"}]}) == -1.5


def test_log_probabilities_are_asked_for_when_confidence_counts() -> None:
    assert asked_with_confidence(ASKED, RULES).logprobs is True
    assert asked_with_confidence(ASKED, CascadeConfig()) is ASKED


def climbed(answers: Mapping[str, ChatResponse | None], *, fallback: tuple[str, ...] = (), most: int = 2) -> Climbed:
    """Up the ladder small, middle, large; None: everything from there on is down."""

    async def ask(targets: tuple[Deployment, ...]) -> tuple[Deployment, ChatResponse]:
        answer = answers[targets[0].name]
        if answer is None:
            raise UnavailableError("down", deployment=targets[0].name)
        return targets[0], answer

    rules = CascadeConfig(min_chars=3, max_escalations=most)
    return asyncio.run(climb((SMALL, MIDDLE, LARGE), fallback, ASKED, rules, ask))


def test_the_first_answer_that_will_do_stands() -> None:
    assert climbed({"mock/small": GOOD}) == Climbed(SMALL, GOOD)


def test_each_answer_passed_over_is_recorded_with_its_reason() -> None:
    found = climbed({"mock/small": SHORT, "mock/middle": SHORT, "mock/large": GOOD})

    assert found.target is LARGE
    assert found.escalations == (
        Escalation("mock/small", "2 characters, at least 3 wanted"),
        Escalation("mock/middle", "2 characters, at least 3 wanted"),
    )


def test_the_last_answer_stands_whatever_it_is() -> None:
    assert climbed(dict.fromkeys(("mock/small", "mock/middle", "mock/large"), SHORT)).target is LARGE
    assert climbed({"mock/small": SHORT, "mock/middle": SHORT}, most=1).target is MIDDLE


def test_an_answer_stands_after_all_when_what_is_above_fails() -> None:
    found = climbed({"mock/small": SHORT, "mock/middle": None})

    assert found.target is SMALL
    assert len(found.escalations) == 1


def test_without_any_answer_the_failure_is_raised() -> None:
    with pytest.raises(UnavailableError):
        climbed({"mock/small": None})


def test_no_answer_is_passed_over_for_a_fallbacks() -> None:
    assert climbed({"mock/small": SHORT}, fallback=("mock/middle", "mock/large")) == Climbed(SMALL, SHORT)


def test_a_pattern_that_is_no_regular_expression_is_refused_with_the_configuration() -> None:
    cascade = {"refusal_patterns": ["(unclosed"]}
    alias = {"candidates": ["mock/a"], "policy": "cascade", "cascade": cascade}

    with pytest.raises(ConfigurationError, match="no regular expression"):
        BridgeConfig.parse({"providers": {"mock": {}}, "aliases": {"x": alias}})
