"""run_step: attempts, limits, classes, re-ask, cache, costs."""

from datetime import UTC, datetime

import pytest

from bridge.call_record import CallContext
from bridge.clock import FrozenClock
from bridge.errors import RateLimitedError
from flows.plan import CacheRule, RetryRule
from flows.runs import StepRun
from tests.support.engine import START, Engine, ScriptedModels, a_plan, call_record, paid, probe


async def only_step(engine: Engine, **fields: object) -> StepRun:
    await engine.start(a_plan(probe("a", **fields)))
    return (await engine.steps())["a"]


async def test_without_a_retry_rule_a_step_has_one_attempt() -> None:
    step = await only_step(Engine(), with_={"fails": 1})

    assert (step.status, step.attempts) == ("failed", 1)


async def test_a_transient_failure_is_tried_again_until_it_succeeds() -> None:
    step = await only_step(Engine(), with_={"fails": 2, "value": 1}, retry=RetryRule(attempts=3))

    assert (step.status, step.attempts, step.output) == ("succeeded", 3, {"value": 1})


async def test_a_class_that_is_not_listed_is_not_tried_again() -> None:
    step = await only_step(Engine(), with_={"fails": -1, "error_class": "user"}, retry=RetryRule(attempts=3))

    assert (step.attempts, step.error and step.error.attempt) == (1, 1)


async def test_the_error_names_its_last_attempt() -> None:
    step = await only_step(Engine(), with_={"fails": -1}, retry=RetryRule(attempts=3))

    assert (step.attempts, step.error and step.error.attempt) == (3, 3)


async def test_backoff_doubles_up_to_its_cap() -> None:
    clock = FrozenClock(START)
    rule = RetryRule(attempts=5, base_s=1, cap_s=3, jitter="none")

    await only_step(Engine(clock=clock), with_={"fails": 4}, retry=rule)

    assert clock.monotonic() == pytest.approx(1 + 2 + 3 + 3)


async def test_full_jitter_never_waits_longer_than_the_backoff() -> None:
    clock = FrozenClock(START)

    await only_step(Engine(clock=clock), with_={"fails": 1}, retry=RetryRule(attempts=2, base_s=4))

    assert 0 < clock.monotonic() < 4


async def test_retry_after_is_waited_for_even_beyond_the_cap() -> None:
    clock = FrozenClock(START)
    rule = RetryRule(attempts=2, base_s=1, cap_s=2)

    await only_step(Engine(clock=clock), with_={"fails": 1, "retry_after_s": 40}, retry=rule)

    assert clock.monotonic() == 40


async def test_a_pause_that_would_outlast_the_deadline_is_not_begun() -> None:
    step = await only_step(
        Engine(), with_={"fails": -1, "retry_after_s": 40}, deadline_s=5, retry=RetryRule(attempts=3)
    )

    assert (step.attempts, step.error and step.error.error_class) == (1, "unavailable")


async def test_a_very_long_retry_after_is_not_waited_for() -> None:
    step = await only_step(Engine(), with_={"fails": -1, "retry_after_s": 3600}, retry=RetryRule(attempts=3))

    assert step.attempts == 1


async def test_a_providers_retry_after_is_honoured_too() -> None:
    clock = FrozenClock(START)
    limited = RateLimitedError("slow down", deployment="mock/m", retry_after_s=9)
    engine = Engine(clock=clock, models=ScriptedModels(failures={"x": limited}))

    await engine.start(a_plan(paid("a", with_={"prompt": "x"}, retry=RetryRule(attempts=2))))

    assert clock.monotonic() == 9
    assert (await engine.steps())["a"].attempts == 2


async def test_an_attempt_over_its_time_limit_is_a_timeout_and_may_be_tried_again() -> None:
    step = await only_step(Engine(), with_={"sleep_s": 5}, timeout_s=0.002, retry=RetryRule(attempts=2))

    assert (step.attempts, step.error and step.error.error_class) == (2, "timeout")


async def test_the_deadline_is_over_all_attempts_and_pauses() -> None:
    step = await only_step(
        Engine(), with_={"sleep_s": 0.004, "fails": -1}, deadline_s=0.006, retry=RetryRule(attempts=9, base_s=0)
    )

    assert step.attempts < 9
    assert step.error
    assert step.error.error_class == "timeout"
    assert "deadline of 0.006 s" in step.error.message


async def test_a_retry_condition_reads_the_output_of_a_success() -> None:
    rule = RetryRule(attempts=3, when="${{ output != null && output.value == 1 }}")

    step = await only_step(Engine(), with_={"value": 1}, retry=rule)

    assert (step.status, step.attempts) == ("succeeded", 3)


async def test_a_retry_condition_narrows_the_classes() -> None:
    rule = RetryRule(attempts=3, when="${{ error != null && error.message == 'other' }}")

    step = await only_step(Engine(), with_={"fails": -1}, retry=rule)

    assert step.attempts == 1


async def test_re_ask_hands_the_violation_to_the_next_attempt() -> None:
    rule = RetryRule(attempts=2, mode="re_ask")

    step = await only_step(
        Engine(), with_={"fails": 1, "error_class": "schema_violation", "value": "re_ask"}, retry=rule
    )

    assert step.output == {"value": "probe failed"}


async def test_values_that_do_not_fit_the_node_are_a_validation_error() -> None:
    step = await only_step(Engine(), with_={"sleep_s": "${{ 'soon' }}"}, retry=RetryRule(attempts=3))

    assert step.error
    assert (step.attempts, step.error.error_class) == (1, "validation")
    assert step.error.message.startswith("sleep_s: ")


async def test_an_expression_that_fails_is_a_validation_error_with_its_text() -> None:
    step = await only_step(Engine(), with_={"value": "${{ inputs.gone }}"})

    assert step.error
    assert step.error.error_class == "validation"
    assert "inputs.gone" in step.error.message


async def test_what_nobody_foresaw_is_internal_and_keeps_the_run_going(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine()

    await engine.start(a_plan(probe("a", with_={"crash": "boom"}), probe("b")))

    steps = await engine.steps()
    assert steps["a"].error
    assert (steps["a"].error.error_class, steps["a"].error.message) == ("internal", "RuntimeError: boom")
    assert steps["b"].status == "succeeded"
    assert [record.message for record in caplog.records] == ["step.unexpected_error"]


async def test_an_unknown_node_type_is_a_validation_error() -> None:
    from tests.support.engine import a_step

    engine = Engine()
    run = await engine.start(a_plan(a_step("a", "nope")))

    assert [error.error_class for error in run.errors] == ["validation"]


async def test_the_cost_of_failed_attempts_counts() -> None:
    limited = RateLimitedError("slow down", deployment="mock/m", retry_after_s=None)
    context = ScriptedModels()
    engine = Engine(models=context)
    context.failures["x"] = limited
    limited.call = call_record(_no_context(), "billed", cost_nano_usd=70)  # pyright: ignore[reportAttributeAccessIssue]  # set by the gateway

    await engine.start(a_plan(paid("a", with_={"prompt": "x"})))

    step = (await engine.steps())["a"]
    assert (step.status, step.cost_nano_usd, step.call_ids) == ("failed", 70, ("billed",))


async def test_a_cached_outcome_is_free_marked_and_makes_no_call() -> None:
    engine = Engine()
    plan = a_plan(paid("a", with_={"prompt": "${{ inputs.q }}"}, cache=CacheRule(ttl_s=60)))

    await engine.start(plan, {"q": "x"}, run_id="r1")
    run = await engine.start(plan, {"q": "x"}, run_id="r2")
    await engine.start(plan, {"q": "y"}, run_id="r3")

    hit = (await engine.steps("r2"))["a"]
    assert (hit.is_cached, hit.attempts, hit.output, run.cost_nano_usd) == (True, 0, {"text": "re: x"}, 0)
    assert engine.models.prompts == ["x", "y"]


async def test_a_cached_outcome_expires_and_respects_its_scope() -> None:
    clock = FrozenClock(START)
    engine = Engine(clock=clock)
    by_run = a_plan(paid("a", with_={"prompt": "run"}, cache=CacheRule(ttl_s=60, scope="run")))
    by_flow = a_plan(paid("a", with_={"prompt": "flow"}, cache=CacheRule(ttl_s=60, key="fixed")))

    for number, plan in enumerate((by_run, by_run, by_flow, by_flow)):
        await engine.start(plan, run_id=f"r{number}")
    clock.advance(61)
    await engine.start(by_flow, run_id="late")

    assert engine.models.prompts == ["run", "run", "flow", "flow"]


async def test_answers_are_streamed_only_while_somebody_watches() -> None:
    engine = Engine()
    follower = engine.bus.follow("r1")

    await engine.start(a_plan(paid("a", with_={"prompt": "hi"})))
    tokens = [event async for event in follower if event.kind == "token"]

    assert [(event.body["path"], event.body["text"], event.part) for event in tokens] == [
        ("a", "re:", 1),
        ("a", "hi", 2),
    ]


async def test_the_runs_start_is_what_expressions_and_nodes_see() -> None:
    engine = Engine()
    engine.clock.advance(5)  # pyright: ignore[reportAttributeAccessIssue]  # a FrozenClock

    step = await only_step(engine, with_={"value": "${{ run.started_at }}"})

    assert step.output == {"value": datetime(2026, 5, 1, 12, 0, 5, tzinfo=UTC).isoformat()}


def _no_context() -> CallContext:
    return CallContext(org_id="acme")
