"""Walking again over stored outcomes, losing a run, being interrupted: nothing paid for is repeated or lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from flows.engine_services import EngineLimits
from flows.plan import ErrorRule, ForeachRule
from flows.runs import RunEvent, RunOwner, StaleOwnerError, StepRun
from tests.support.engine import Engine, ScriptedModels, a_plan, a_run, paid, probe

QUICK = EngineLimits(lease_s=0.05, renew_every_s=0.005, cancel_poll_s=0.002, flush_after_s=0.001)


async def stored_before(engine: Engine, plan_steps: list[StepRun], **fields: object) -> None:
    """A run whose first walker stored these steps and died."""
    await engine.store.create(replace(a_run(a_plan()), **fields))  # pyright: ignore[reportArgumentType]  # fields of Run
    dead = await engine.store.acquire("r1", "dead", lease_s=0)
    assert dead is not None
    await engine.store.save_steps(dead, plan_steps)


def done(path: str, output: object, **fields: object) -> StepRun:
    step = path.partition("[")[0]
    base = StepRun(path=path, step=step, type="test_paid", status="succeeded", attempts=1, fingerprint=f"f-{step}")
    return replace(base, output=output, **fields)  # pyright: ignore[reportArgumentType]  # fields of StepRun


async def test_finished_steps_are_not_run_again_and_their_outputs_and_costs_count() -> None:
    engine = Engine()
    await stored_before(engine, [done("a", {"text": "kept"}, cost_nano_usd=5)])
    plan = a_plan(
        paid("a", with_={"prompt": "one"}),
        paid("b", "a", with_={"prompt": "two"}),
        outputs={"a": "${{ nodes.a.output.text }}"},
    )

    run = await engine.walk(plan)

    assert (run.status, dict(run.outputs), run.cost_nano_usd) == ("succeeded", {"a": "kept"}, 1005)
    assert engine.models.prompts == ["two"]


async def test_a_run_that_is_cancelled_before_it_goes_on_keeps_what_had_ended() -> None:
    engine = Engine()
    await stored_before(engine, [done("a", {"text": "kept"}, cost_nano_usd=5)], is_cancel_requested=True)

    run = await engine.walk(a_plan(paid("a", with_={"prompt": "one"}), paid("b", "a", with_={"prompt": "two"})))

    assert (run.status, run.cost_nano_usd, engine.models.prompts) == ("cancelled", 5, [])
    assert await engine.statuses() == {"a": "succeeded", "b": "cancelled:cancelled"}


async def test_a_step_that_was_running_runs_again() -> None:
    engine = Engine()
    await stored_before(engine, [done("a", None, status="running")])

    await engine.walk(a_plan(paid("a", with_={"prompt": "one"})))

    assert engine.models.prompts == ["one"]


async def test_a_step_that_has_changed_runs_again() -> None:
    engine = Engine()
    await stored_before(engine, [done("a", {"text": "old"})])

    await engine.walk(a_plan(paid("a", with_={"prompt": "new"}, fingerprint="other")))

    assert engine.models.prompts == ["new"]


async def test_only_unfinished_items_run_again() -> None:
    engine = Engine()
    await stored_before(engine, [done("a[0]", {"text": "kept"}), done("a[2]", {"text": "kept too"})])
    plan = a_plan(
        paid("a", with_={"prompt": "${{ item }}"}, foreach=ForeachRule(["x", "y", "z"])),
        outputs={"texts": "${{ nodes.a.output.map(one, one.text) }}"},
    )

    run = await engine.walk(plan)

    assert (dict(run.outputs), engine.models.prompts) == ({"texts": ["kept", "re: y", "kept too"]}, ["y"])


async def test_a_handled_failure_of_the_first_walk_still_makes_the_run_partial() -> None:
    engine = Engine()
    await stored_before(engine, [done("a", None, status="failed", is_error_handled=True)])

    run = await engine.walk(a_plan(paid("a", on_error=(ErrorRule("continue"),)), probe("b", "a")))

    assert (run.status, engine.models.prompts) == ("partial", [])


async def test_a_paid_outcome_is_stored_before_its_dependent_starts() -> None:
    seen: list[dict[str, str]] = []

    class Looking(ScriptedModels):
        async def chat(self, request, context):  # type: ignore[no-untyped-def]  # pyright: ignore
            seen.append(await engine.statuses())
            return await super().chat(request, context)

    engine = Engine(models=Looking())

    await engine.start(a_plan(probe("pure"), paid("a", "pure"), paid("b", "a")))

    assert seen[1]["a"] == "succeeded"
    assert seen[1]["pure"] == "succeeded"


async def test_a_run_taken_over_is_given_up_without_a_trace() -> None:
    engine = Engine(models=ScriptedModels(delay_s=0.01), limits=QUICK)
    running = asyncio.create_task(engine.start(a_plan(paid("a"), paid("b", "a"))))
    await asyncio.sleep(0.005)
    engine.clock.advance(60)  # pyright: ignore[reportAttributeAccessIssue]  # a FrozenClock
    assert await engine.store.acquire("r1", "thief") is not None
    stolen = await engine.store.load("r1")

    with pytest.raises(StaleOwnerError):
        await running

    assert await engine.store.load("r1") == stolen
    assert len(engine.models.prompts) == 1


async def test_a_stored_cancel_request_reaches_a_running_step() -> None:
    engine = Engine(models=ScriptedModels(delay_s=5), limits=QUICK)
    running = asyncio.create_task(engine.start(a_plan(paid("a"), finally_steps=(probe("audit"),))))
    await asyncio.sleep(0.004)
    await engine.store.request_cancel("acme", "r1")

    run = await running

    assert run.status == "cancelled"
    assert await engine.statuses() == {"a": "cancelled:cancelled", "audit": "succeeded"}


async def test_closing_the_lane_gives_runs_back_and_another_continues_them() -> None:
    engine = Engine(models=ScriptedModels(delay_s=0.02), limits=QUICK)
    plan = a_plan(paid("a", with_={"prompt": "one"}), paid("b", "a", with_={"prompt": "two"}))
    running = asyncio.create_task(engine.start(plan))
    await asyncio.sleep(0.03)

    await engine.lane.close(grace_s=0)
    given_back = await running
    other = Engine(limits=QUICK, of=engine)
    run = await other.walk(plan, owner="other")

    assert (given_back.status, given_back.owner) == ("queued", None)
    assert (run.status, other.models.prompts) == ("succeeded", ["two"])


async def test_a_slow_step_is_shown_as_running_and_a_quick_one_is_stored_once() -> None:
    engine = Engine(limits=EngineLimits(flush_after_s=0.002))

    await engine.start(a_plan(probe("quick"), probe("slow", with_={"sleep_s": 0.006})))

    events = [(e.body["path"], e.body["status"]) for e in await engine.store.events("r1") if e.kind == "step"]
    assert events.count(("quick", "succeeded")) == 1
    assert ("quick", "running") not in events
    assert ("slow", "running") in events


async def test_events_reach_whoever_follows_and_end_with_the_run() -> None:
    engine = Engine()
    follower = engine.bus.follow("r1")

    await engine.start(a_plan(probe("a"), paid("b")))
    seen = [event async for event in follower if event.kind != "token"]

    assert [event.seq for event in seen] == [event.seq for event in await engine.store.events("r1")]
    assert seen[-1].body["status"] == "succeeded"


async def test_a_cancel_that_comes_while_a_paid_outcome_is_stored_finds_the_step_ended() -> None:
    engine = Engine()
    original = engine.store.save_steps
    storing = asyncio.Event()

    async def slow(owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        storing.set()
        await asyncio.sleep(0.003)
        return await original(owner, steps)

    engine.store.save_steps = slow
    running = asyncio.create_task(engine.start(a_plan(paid("a"), paid("b", "a"))))
    await storing.wait()
    engine.lane.cancel("r1")

    run = await running

    assert (run.status, run.cost_nano_usd) == ("cancelled", 1000)
    assert await engine.statuses() == {"a": "succeeded", "b": "cancelled:cancelled"}
