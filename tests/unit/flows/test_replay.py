"""A recorded run once more: byte-equal, free, and telling what an edit would have changed."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.errors import RateLimitedError
from flows.plan import ErrorRule, ForeachRule, Plan, PlanStep, RetryRule
from flows.recordings import canonical
from flows.replay import NotReplayableError, Replayed, load_recorded, replay
from flows.replay_report import ReplayReport, report_of
from tests.support.engine import Engine, ScriptedModels, a_plan, a_run, paid, probe, reads


async def again(engine: Engine, plan: Plan, *, edited: bool = False, **more: Any) -> Replayed:
    """The run r1 of the engine replayed."""
    recorded = await load_recorded(engine.store, "r1")
    return await replay(recorded, plan, engine.services, is_same_flow=not edited, **more)


def asks(step_id: str, *needs: str, prompt: str, **fields: Any) -> PlanStep:
    return paid(step_id, *needs, with_={"prompt": prompt}, **fields)


async def test_a_replay_gives_the_same_outputs_steps_and_times_and_asks_no_model() -> None:
    engine = Engine()
    plan = a_plan(
        asks("a", prompt="one"),
        asks("b", prompt="two ${{ nodes.a.output.text }}", depends_on=[reads("a")]),
        outputs={
            "text": "${{ nodes.b.output.text }}",
            "cost": "${{ nodes.b.cost_usd }}",
            "took": "${{ nodes.b.duration_ms }}",
            "at": "${{ run.started_at }}",
            "id": "${{ run.id }}",
        },
    )
    run = await engine.start(plan)
    asked = list(engine.models.prompts)

    replayed = await again(engine, plan)

    assert json.dumps(dict(replayed.run.outputs)) == json.dumps(dict(run.outputs))
    assert canonical(dict(replayed.run.outputs)) == canonical(dict(run.outputs))
    assert replayed.steps == await engine.steps()
    assert (replayed.run.status, replayed.run.cost_nano_usd) == ("succeeded", run.cost_nano_usd)
    assert engine.models.prompts == asked
    assert replayed.seen.missing == {}


async def test_one_changed_byte_of_the_recording_changes_the_outputs() -> None:
    engine = Engine()
    plan = a_plan(asks("a", prompt="one"), outputs={"text": "${{ nodes.a.output.text }}"})
    await engine.start(plan)
    recorded = await load_recorded(engine.store, "r1")
    call = recorded.recordings["a"].calls[0]
    assert call.answer is not None
    forged = replace(call, answer={**call.answer, "text": "re: onf"})
    touched = {"a": replace(recorded.recordings["a"], calls=(forged,))}

    replayed = await replay(replace(recorded, recordings=touched), plan, engine.services, is_same_flow=True)
    report = report_of(replayed, plan)

    assert dict(replayed.run.outputs) == {"text": "re: onf"}
    assert not report.is_same
    assert [(step.path, step.verdict) for step in report.steps] == [("a", "changed_output")]


async def test_an_edited_prompt_is_told_as_a_call_that_is_missing_with_what_follows_from_it() -> None:
    engine = Engine()
    steps = (
        asks("a", prompt="one"),
        asks("b", "a", prompt="two ${{ nodes.a.output.text }}", depends_on=[reads("a")]),
        asks("c", prompt="three"),
    )
    plan = a_plan(*steps, outputs={"b": "${{ nodes.b.output.text }}", "c": "${{ nodes.c.output.text }}"})
    await engine.start(plan)
    edited = a_plan(asks("a", prompt="uno", fingerprint="f2"), *steps[1:], outputs=plan.outputs)

    report = report_of(await again(engine, edited, edited=True), edited)

    assert verdicts(report) == {"a": "not_recorded", "b": "unknown", "c": "same"}
    assert [(change.name, change.was, change.now) for change in report.steps[0].input_changes] == [
        ("prompt", "one", "uno")
    ]
    assert [(call.path, call.asked["messages"]) for call in report.missing] == [("a", ["uno"])]
    assert {one.change.name: one.verdict for one in report.outputs} == {"b": "unknown", "c": "same"}
    assert engine.models.prompts == ["one", "three", "two re: one"]
    assert report.spent == 0


async def test_with_calls_allowed_the_missing_ones_alone_are_made_and_counted() -> None:
    engine = Engine()
    steps = (asks("a", prompt="one"), asks("b", prompt="${{ nodes.a.output.text }}", depends_on=[reads("a")]))
    plan = a_plan(*steps, asks("c", prompt="three"))
    await engine.start(plan)
    edited = a_plan(asks("a", prompt="uno", fingerprint="f2"), *plan.block.steps[1:])
    models = ScriptedModels(cost_nano_usd=7)

    report = report_of(await again(engine, edited, edited=True, models=models), edited)

    assert verdicts(report) == {"a": "changed_input", "b": "changed_input", "c": "same"}
    assert models.prompts == ["uno", "re: uno"]
    assert (report.spent, report.cost_now, report.recorded_cost) == (14, 1014, 3000)


async def test_an_edit_that_changes_no_call_is_computed_anew_over_the_recording() -> None:
    engine = Engine()
    a = asks("a", prompt="one")
    plan = a_plan(a, probe("b", with_={"value": "old"}, depends_on=[reads("a")]), probe("gone"))
    await engine.start(plan)
    edited = a_plan(
        asks("renamed", prompt="one"),
        probe("b", with_={"value": "new"}, fingerprint="f2", depends_on=[reads("renamed")]),
    )

    report = report_of(await again(engine, edited, edited=True), edited)

    assert verdicts(report) == {"renamed": "new", "b": "changed_output", "a": "removed", "gone": "removed"}
    assert report.steps[0].answered_from == "a"
    assert len(engine.models.prompts) == 1


async def test_failures_retries_and_refusals_come_again_as_they_were() -> None:
    models = ScriptedModels(failures={"bad": RateLimitedError("slow down", deployment="d", retry_after_s=9.0)})
    engine = Engine(models=models)
    plan = a_plan(
        asks("a", prompt="bad", retry=RetryRule(attempts=3), on_error=(ErrorRule("continue"),)),
        asks("b", "a", prompt="good"),
        outputs={"error": "${{ nodes.a.error.message }}", "tries": "${{ nodes.a.attempts }}"},
    )
    run = await engine.start(plan)
    models.failures.clear()

    replayed = await again(engine, plan)

    assert run.status == replayed.run.status == "partial"
    assert replayed.run.outputs == run.outputs == {"error": "slow down", "tries": 3}
    assert replayed.steps == await engine.steps()
    assert len(models.prompts) == 4


async def test_many_items_come_back_in_order_and_a_new_item_is_missing_alone() -> None:
    engine = Engine()
    rule = ForeachRule(items="${{ inputs.names }}", max_parallel=3)
    step = asks("each", prompt="say ${{ item }}", foreach=rule)
    plan = a_plan(step, outputs={"all": "${{ nodes.each.output }}"})
    run = await engine.start(plan, {"names": ["x", "y", "z"]})
    edited = a_plan(replace(step, foreach=replace(rule, items=["z", "new", "x"])), outputs=plan.outputs)

    same = report_of(await again(engine, plan), plan)
    report = report_of(await again(engine, edited, edited=True), edited)

    assert same.is_same
    assert same.values == run.outputs
    assert verdicts(report) == {
        "each": "unknown",
        "each[0]": "changed_input",
        "each[1]": "not_recorded",
        "each[2]": "changed_input",
    }
    assert [step.answered_from for step in report.steps] == [None, "each[2]", None, "each[0]"]


async def test_a_run_that_was_cancelled_is_replayed_up_to_where_it_was_stopped() -> None:
    engine = Engine(models=ScriptedModels(delay_s=0.01))
    slow = probe("slow", with_={"sleep_s": 30})
    plan = a_plan(asks("a", prompt="one"), slow, asks("b", "slow", prompt="two"))
    await engine.store.create(a_run(plan))
    walking = asyncio.create_task(engine.walk(plan))
    while (await engine.steps()).get("a") is None or (await engine.steps())["a"].status != "succeeded":
        await asyncio.sleep(0.001)
    engine.lane.cancel("r1")
    run = await walking

    replayed = await again(engine, plan)
    report = report_of(replayed, plan)

    assert (run.status, replayed.run.status) == ("cancelled", "cancelled")
    assert report.is_same, [(step.path, step.verdict) for step in report.steps]
    assert {path: step.status for path, step in replayed.steps.items()} == {
        "a": "succeeded",
        "slow": "cancelled",
        "b": "cancelled",
    }


async def test_steps_end_in_the_recorded_order_whoever_is_quicker_now() -> None:
    engine = Engine(clock=SystemClock())
    plan = a_plan(
        probe("quick", with_={"fails": -1, "sleep_s": 0.002}),
        probe("slow", with_={"fails": -1, "sleep_s": 0.03}),
        finally_steps=(probe("last", with_={"value": "${{ errors[0].node }}"}),),
    )
    await engine.start(plan)
    recorded = await load_recorded(engine.store, "r1")
    first, second = recorded.steps["quick"], recorded.steps["slow"]
    turned = {
        **recorded.steps,
        "quick": replace(first, finished_at=second.finished_at),
        "slow": replace(second, finished_at=first.finished_at),
    }

    replayed = await replay(replace(recorded, steps=turned), plan, engine.services, is_same_flow=True)

    assert [error.node for error in replayed.run.errors] == ["slow", "quick"]
    assert replayed.steps["last"].output == {"value": "slow"}


async def test_without_recordings_the_same_version_is_answered_by_its_outcomes_and_an_edited_one_is_not() -> None:
    engine = Engine()
    plan = a_plan(asks("a", prompt="one"), outputs={"text": "${{ nodes.a.output.text }}"})
    run = await engine.start(plan)
    recorded = replace(await load_recorded(engine.store, "r1"), recordings={})

    same = await replay(recorded, plan, engine.services, is_same_flow=True)
    edited = await replay(recorded, plan, engine.services, is_same_flow=False)

    assert same.run.outputs == run.outputs
    assert verdicts(report_of(edited, plan)) == {"a": "not_recorded"}


async def test_a_run_that_goes_on_or_is_unknown_cannot_be_replayed() -> None:
    engine = Engine()
    await engine.store.create(a_run(a_plan()))

    with pytest.raises(NotReplayableError, match="queued"):
        await load_recorded(engine.store, "r1")
    with pytest.raises(NotReplayableError, match="no run r2"):
        await load_recorded(engine.store, "r2")


def verdicts(report: ReplayReport) -> dict[str, str]:
    return {step.path: step.verdict for step in report.steps}


async def test_a_run_that_took_too_long_fails_for_the_same_reason_at_once() -> None:
    engine = Engine(clock=SystemClock())
    plan = a_plan(
        asks("a", prompt="one"),
        probe("slow", with_={"sleep_s": 30}),
        timeout_s=0.02,
        on_failure=(probe("why", with_={"value": "${{ error.message }}"}),),
    )
    run = await engine.start(plan)

    replayed = await again(engine, replace(plan, timeout_s=300.0))

    assert (run.status, replayed.run.status) == ("failed", "failed")
    assert [error.error_class for error in replayed.run.errors] == ["timeout"]
    assert replayed.steps["slow"].reason == "timeout"
    assert replayed.steps["why"].status == "succeeded"
