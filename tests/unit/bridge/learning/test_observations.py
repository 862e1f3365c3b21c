from dataclasses import replace
from datetime import timedelta

from bridge.learning.observations import ObservationLog, observed
from tests.support.money import made_call
from tests.support.observations import observation


def test_a_call_is_seen_with_the_tokens_and_money_of_all_its_attempts() -> None:
    call = made_call("org", cost_nano_usd=500, task="triage")
    call = replace(call, attempts=call.attempts * 2, finished_at=call.started_at + timedelta(seconds=9))

    seen = observed(call)

    assert (seen.task, seen.model, seen.input_tokens, seen.output_tokens) == ("triage", "acme/m", 20, 40)
    assert (seen.cost_nano_usd, seen.latency_s, seen.is_success, seen.is_cached) == (1000, 0.0125, True, False)


def test_without_a_task_the_requested_name_stands_for_it() -> None:
    assert observed(made_call("org")).task == "balanced"


def test_a_cached_answer_has_no_model_and_takes_the_time_of_the_call() -> None:
    call = made_call("org")
    call = replace(call, attempts=(), cache="hit", finished_at=call.started_at + timedelta(seconds=2))

    seen = observed(call)

    assert (seen.model, seen.is_cached, seen.latency_s) == ("", True, 2.0)


def test_the_log_keeps_the_newest() -> None:
    log = ObservationLog(max_observations=3)
    for hour in range(5):
        log.add(observation(hour))

    assert [one.at.hour for one in log] == [2, 3, 4]
    assert [one.at.hour for one in log.newest(2)] == [3, 4]
    assert len(log) == 3
