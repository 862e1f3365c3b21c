"""The walker's semantics, rule by rule, on the inline lane and the in-memory store."""

import asyncio

import pytest

from flows.plan import BudgetRule, Dependency, ErrorRule
from tests.support.engine import Engine, ScriptedModels, a_plan, a_step, failing, paid, probe, reads

CONTINUE = (ErrorRule("continue"),)


async def test_a_chain_runs_in_order_and_outputs_are_computed() -> None:
    engine = Engine()
    plan = a_plan(
        probe("a", with_={"value": "${{ inputs.n }}"}),
        probe("b", with_={"value": "${{ nodes.a.output.value + 1 }}"}, depends_on=[reads("a")]),
        outputs={"sum": "${{ nodes.b.output.value }}", "text": "b is ${{ nodes.b.output.value }}"},
    )

    run = await engine.start(plan, {"n": 4})

    assert (run.status, dict(run.outputs)) == ("succeeded", {"sum": 5, "text": "b is 5"})
    assert await engine.statuses() == {"a": "succeeded", "b": "succeeded"}


async def test_a_failed_step_fails_the_run_and_skips_what_needs_it_while_siblings_end() -> None:
    engine = Engine()

    run = await engine.start(
        a_plan(failing("a"), probe("b", "a"), probe("c", with_={"sleep_s": 0.001}), probe("d", "c"))
    )

    assert run.status == "failed"
    assert await engine.statuses() == {
        "a": "failed",
        "b": "skipped:upstream_failed",
        "c": "succeeded",
        "d": "succeeded",
    }
    assert [(error.node, error.error_class, error.attempt) for error in run.errors] == [("a", "unavailable", 1)]


async def test_a_continued_failure_counts_as_success_and_makes_the_run_partial() -> None:
    engine = Engine()

    run = await engine.start(a_plan(failing("a", on_error=CONTINUE), probe("b", "a")))

    assert run.status == "partial"
    assert run.errors == ()
    assert await engine.statuses() == {"a": "failed", "b": "succeeded"}


async def test_a_default_is_the_output_and_lacking_fields_are_null() -> None:
    engine = Engine()
    plan = a_plan(
        failing("a", on_error=(ErrorRule("default", default={}),)),
        outputs={"value": "${{ nodes.a.output.value }}", "status": "${{ nodes.a.status }}"},
    )

    run = await engine.start(plan)

    assert (run.status, dict(run.outputs)) == ("partial", {"value": None, "status": "failed"})


async def test_on_error_entries_are_filtered_by_class() -> None:
    engine = Engine()
    rules = (ErrorRule("continue", on=("timeout",)), ErrorRule("default", default={"value": 1}, on=("unavailable",)))

    run = await engine.start(a_plan(failing("a", on_error=rules), outputs={"v": "${{ nodes.a.output.value }}"}))

    assert dict(run.outputs) == {"v": 1}


async def test_when_false_skips_and_joins_of_dependents_decide() -> None:
    engine = Engine()
    plan = a_plan(
        probe("a", when="${{ inputs.go }}"),
        probe("strict", "a"),
        probe(
            "lenient",
            depends_on=[reads("a", coalesced=True)],
            with_={"value": "${{ coalesce(nodes.a.output.value, 7) }}"},
        ),
        probe("tolerant", "a", join="none_failed"),
        outputs={"v": "${{ nodes.lenient.output.value }}"},
    )

    run = await engine.start(plan, {"go": False})

    assert run.status == "succeeded"
    assert dict(run.outputs) == {"v": 7}
    assert await engine.statuses() == {
        "a": "skipped:when",
        "strict": "skipped:upstream_skipped",
        "lenient": "succeeded",
        "tolerant": "succeeded",
    }


async def test_a_when_that_is_no_boolean_fails_the_step() -> None:
    engine = Engine()

    run = await engine.start(a_plan(probe("a", when="${{ inputs.n }}")), {"n": 1})

    assert [(error.node, error.error_class) for error in run.errors] == [("a", "validation")]


async def test_all_done_runs_after_a_failure_and_the_run_still_fails() -> None:
    engine = Engine()

    run = await engine.start(a_plan(failing("a"), probe("b", "a", join="all_done")))

    assert run.status == "failed"
    assert await engine.statuses() == {"a": "failed", "b": "succeeded"}


async def test_any_succeeded_waits_for_every_upstream() -> None:
    engine = Engine()
    plan = a_plan(
        failing("a"),
        probe("b", with_={"sleep_s": 0.002}),
        probe("c", "a", "b", join="any_succeeded"),
        probe("d", "a", join="any_succeeded"),
    )

    await engine.start(plan)

    steps = await engine.steps()
    assert (steps["c"].status, steps["d"].reason) == ("succeeded", "upstream_failed")


async def test_first_starts_on_the_first_success_and_cancels_what_nobody_else_needs() -> None:
    engine = Engine()
    plan = a_plan(
        probe("fast"),
        probe("before_slow", with_={"sleep_s": 5}),
        probe("slow", "before_slow"),
        probe("shared", with_={"sleep_s": 0.005}),
        probe("winner", "fast", "slow", "shared", join="first"),
        probe("other", "shared"),
    )

    run = await engine.start(plan)

    assert run.status == "succeeded"
    assert await engine.statuses() == {
        "fast": "succeeded",
        "before_slow": "cancelled:first",
        "slow": "cancelled:first",
        "shared": "succeeded",
        "winner": "succeeded",
        "other": "succeeded",
    }


async def test_reading_a_status_accepts_any_end() -> None:
    engine = Engine()
    plan = a_plan(
        failing("a", on_error=CONTINUE),
        probe("b", depends_on=[Dependency("a", "state")], with_={"value": "${{ nodes.a.error.class }}"}),
        outputs={"seen": "${{ nodes.b.output.value }}"},
    )

    run = await engine.start(plan)

    assert dict(run.outputs) == {"seen": "unavailable"}


@pytest.mark.parametrize(
    ("tier", "taken", "left", "right"),
    [("vip", "left", "succeeded", "skipped:switch"), ("free", "right", "skipped:switch", "succeeded")],
)
async def test_a_switch_takes_one_way_and_skips_the_others(tier: str, taken: str, left: str, right: str) -> None:
    engine = Engine()
    switch = a_step(
        "way", "switch", with_={"cases": [{"if": "${{ inputs.tier == 'vip' }}", "then": "left"}], "default": "right"}
    )
    chosen = [Dependency("way", "switch")]
    plan = a_plan(
        switch,
        probe("left", depends_on=chosen),
        probe("right", depends_on=chosen),
        outputs={"way": "${{ nodes.way.output.taken }}"},
    )

    run = await engine.start(plan, {"tier": tier})

    statuses = await engine.statuses()
    assert (run.outputs["way"], statuses["left"], statuses["right"]) == (taken, left, right)


async def test_a_switch_without_match_takes_nothing() -> None:
    engine = Engine()
    plan = a_plan(
        a_step("way", "switch", with_={"cases": [{"if": "${{ false }}", "then": ["x"]}]}),
        probe("x", depends_on=[Dependency("way", "switch")]),
        outputs={"way": "${{ nodes.way.output.taken }}"},
    )

    run = await engine.start(plan)

    assert (run.status, run.outputs["way"]) == ("succeeded", None)
    assert (await engine.statuses())["x"] == "skipped:switch"


@pytest.mark.parametrize(
    ("fails", "rescue", "status"), [(-1, "succeeded", "partial"), (0, "skipped:goto", "succeeded")]
)
async def test_goto_runs_its_target_only_when_gone_to(fails: int, rescue: str, status: str) -> None:
    engine = Engine()
    plan = a_plan(
        probe("a", with_={"fails": fails}, on_error=(ErrorRule("goto", goto="rescue"),)),
        probe("rescue", goto_only=True),
    )

    run = await engine.start(plan)

    assert (run.status, (await engine.statuses())["rescue"]) == (status, rescue)


async def test_fail_fast_cancels_the_siblings() -> None:
    engine = Engine()
    plan = a_plan(failing("a"), probe("b", with_={"sleep_s": 5}), probe("c", "b"), probe("d", "a"), fail_fast=True)

    run = await engine.start(plan)

    assert run.status == "failed"
    assert await engine.statuses() == {
        "a": "failed",
        "b": "cancelled:fail_fast",
        "c": "cancelled:fail_fast",
        "d": "skipped:upstream_failed",
    }


async def test_a_run_over_its_time_limit_fails_and_finally_runs() -> None:
    engine = Engine()
    plan = a_plan(
        probe("slow", with_={"sleep_s": 5}),
        timeout_s=0.01,
        on_failure=(probe("tell", with_={"value": "${{ error.class }}"}),),
        finally_steps=(probe("audit", with_={"value": "${{ run.status }}"}),),
    )

    run = await engine.start(plan)

    steps = await engine.steps()
    assert run.status == "failed"
    assert [error.error_class for error in run.errors] == ["timeout"]
    assert (steps["slow"].status, steps["slow"].reason) == ("cancelled", "timeout")
    assert (steps["tell"].output, steps["audit"].output) == ({"value": "timeout"}, {"value": "failed"})


async def test_cancel_stops_running_steps_and_runs_finally_but_not_on_failure() -> None:
    engine = Engine()
    plan = a_plan(
        probe("slow", with_={"sleep_s": 5}),
        probe("next", "slow"),
        on_failure=(probe("tell"),),
        finally_steps=(probe("audit"),),
    )
    running = asyncio.create_task(engine.start(plan))
    await asyncio.sleep(0.002)

    assert engine.lane.cancel("r1")
    run = await running

    assert run.status == "cancelled"
    assert await engine.statuses() == {
        "slow": "cancelled:cancelled",
        "next": "cancelled:cancelled",
        "tell": "skipped:unused",
        "audit": "succeeded",
    }


async def test_a_cancel_asked_for_before_the_start_runs_nothing() -> None:
    engine = Engine()
    plan = a_plan(paid("a"))
    from tests.support.engine import a_run

    await engine.store.create(a_run(plan))
    await engine.store.request_cancel("acme", "r1")

    run = await engine.walk(plan)

    assert (run.status, engine.models.prompts) == ("cancelled", [])


async def test_on_failure_sees_the_first_error_and_all_of_them() -> None:
    engine = Engine()
    plan = a_plan(
        failing("a"),
        probe("b", with_={"fails": -1, "sleep_s": 0.003}),
        on_failure=(probe("tell", with_={"value": "${{ error.node + ':' + text(size(run.errors)) }}"}),),
    )

    await engine.start(plan)

    assert (await engine.steps())["tell"].output == {"value": "a:2"}


async def test_a_failing_finally_makes_a_succeeded_run_partial_and_the_next_one_still_runs() -> None:
    engine = Engine()

    run = await engine.start(a_plan(probe("a"), finally_steps=(failing("clean"), probe("audit"))))

    assert (run.status, [error.node for error in run.errors]) == ("partial", ["clean"])
    assert (await engine.statuses())["audit"] == "succeeded"


async def test_outputs_of_a_failed_run_are_computed_where_possible() -> None:
    engine = Engine()
    plan = a_plan(
        probe("a", with_={"value": 1}),
        failing("b"),
        outputs={"a": "${{ nodes.a.output.value }}", "b": "${{ nodes.b.output.value }}"},
    )

    run = await engine.start(plan)

    assert dict(run.outputs) == {"a": 1, "b": None}


async def test_an_output_that_cannot_be_computed_fails_a_run_that_succeeded() -> None:
    engine = Engine()

    run = await engine.start(a_plan(probe("a", when="${{ false }}"), outputs={"x": "${{ nodes.a.output.value }}"}))

    assert run.status == "failed"
    assert [(error.path, error.error_class) for error in run.errors] == [("outputs.x", "validation")]


async def test_a_budget_error_stops_the_run_and_cancels_what_runs() -> None:
    engine = Engine(models=ScriptedModels(refuse_after=1))
    plan = a_plan(
        paid("a", with_={"prompt": "one"}),
        paid("b", "a", with_={"prompt": "two"}, on_error=CONTINUE),
        probe("slow", with_={"sleep_s": 5}),
        budget=BudgetRule(usd=0.01),
        finally_steps=(probe("audit"),),
    )

    run = await engine.start(plan)

    assert (run.status, [error.error_class for error in run.errors]) == ("failed", ["budget"])
    assert (await engine.statuses())["slow"] == "cancelled:budget"
    assert (await engine.statuses())["audit"] == "succeeded"


async def test_cost_model_and_calls_of_a_step_come_from_its_call_records() -> None:
    engine = Engine()

    run = await engine.start(a_plan(paid("a", with_={"prompt": "hi"}), paid("b", "a", with_={"prompt": "ho"})))

    step = (await engine.steps())["a"]
    assert (step.cost_nano_usd, step.model, step.provider, step.call_ids) == (1000, "mock/m", "mock", ("c1",))
    assert run.cost_nano_usd == 2000
    first = engine.models.contexts[0]
    assert (first.run_id, first.step_path, first.task) == ("r1", "a", "demo/a")


async def test_an_unknown_price_makes_the_cost_unknown_not_zero() -> None:
    engine = Engine(models=ScriptedModels(cost_nano_usd=None))

    run = await engine.start(a_plan(paid("a")))

    assert run.cost_nano_usd is None
