import pytest

from bridge.chat import Usage
from bridge.decision import DeploymentState
from bridge.routing.observed_usage import ENOUGH, ObservedUsage

KNOWN = DeploymentState(ttft_s=0.2, in_flight=3)


def fed(count: int = ENOUGH) -> ObservedUsage:
    observed = ObservedUsage()
    for number in range(count):
        observed.add("p/a", "triage", Usage(1000, 40 + number, cached_tokens=600))
    return observed


def test_too_few_answers_say_nothing() -> None:
    observed = fed(ENOUGH - 1)

    assert observed.output_tokens("triage") is None
    assert observed.cached_share("p/a") is None
    assert observed.told("p/a", "triage", KNOWN) is KNOWN


def test_length_and_cached_share_are_averages_of_what_was_counted() -> None:
    observed = fed()

    assert observed.output_tokens("triage") == 42
    assert observed.cached_share("p/a") == pytest.approx(0.6)
    told = observed.told("p/a", "triage", KNOWN)
    assert (told.ttft_s, told.in_flight) == (0.2, 3)
    assert told.cached_share == pytest.approx(0.6)
    assert told.output_tokens == pytest.approx(42.0)


def test_the_length_is_of_the_task_and_the_cached_share_of_the_deployment() -> None:
    told = fed().told("p/a", "another task", KNOWN)

    assert told.output_tokens is None
    assert told.cached_share == pytest.approx(0.6)


def test_averages_follow_a_change() -> None:
    observed = fed(50)
    for _ in range(100):
        observed.add("p/a", "triage", Usage(1000, 500))

    assert (observed.output_tokens("triage") or 0) > 450
    assert (observed.cached_share("p/a") or 0) < 0.05


def test_estimates_teach_nothing() -> None:
    observed = ObservedUsage()
    for _ in range(20):
        observed.add("p/a", "triage", Usage(1000, 40, is_estimated=True))

    assert observed.output_tokens("triage") is None
