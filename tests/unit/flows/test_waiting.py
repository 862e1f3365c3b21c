"""Steps that wait: siblings drain, the run is put aside, a later walk goes on where it was."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge.clock import FrozenClock
from flows.plan import Block, ForeachRule
from flows.validate import check
from nodes.node import node_types
from tests.support.conformance import EveryModel
from tests.support.engine import START, Engine, a_plan, a_step, paid, probe


def engine(clock: FrozenClock) -> Engine:
    made = Engine(clock=clock)
    made.services = replace(made.services, node_types=node_types())
    made.lane = type(made.lane)(made.services)
    return made


def wait(step_id: str, *needs: str, time: str = "1h", **fields: Any) -> Any:
    return a_step(step_id, "wait", *needs, with_={"for": time}, **fields)


async def test_siblings_end_what_follows_waits_and_nothing_is_repeated() -> None:
    clock = FrozenClock(START)
    mine = engine(clock)
    plan = a_plan(
        paid("before", with_={"prompt": "one"}),
        wait("rest", "before"),
        paid("after", "rest", with_={"prompt": "two"}),
        paid("side", with_={"prompt": "three"}),
        finally_steps=(probe("audit"),),
    )

    waiting = await mine.start(plan)
    during = await mine.statuses()
    clock.advance(3600)
    ended = await mine.walk(plan, owner="another")

    assert (waiting.status, waiting.wake_at, waiting.finished_at) == ("waiting", START + timedelta(hours=1), None)
    assert during == {"before": "succeeded", "side": "succeeded", "rest": "waiting"}
    assert (ended.status, sorted(mine.models.prompts)) == ("succeeded", ["one", "three", "two"])
    rest = (await mine.steps())["rest"]
    assert (rest.status, rest.started_at, rest.finished_at, rest.output) == (
        "succeeded",
        START,
        START + timedelta(hours=1),
        {"event": None},
    )


async def test_a_walk_that_comes_too_early_goes_on_waiting_until_the_same_moment() -> None:
    clock = FrozenClock(START)
    mine, plan = engine(clock), a_plan(wait("rest"))
    await mine.start(plan)
    clock.advance(1800)

    again = await mine.walk(plan)

    assert (again.status, again.wake_at) == ("waiting", START + timedelta(hours=1))


async def test_time_spent_waiting_does_not_count_towards_the_limit_of_the_run() -> None:
    clock = FrozenClock(START)
    mine, plan = engine(clock), a_plan(wait("rest"), probe("after", "rest"), timeout_s=60.0)
    await mine.start(plan)
    clock.advance(3600)

    ended = await mine.walk(plan)

    assert (ended.status, ended.waited_s) == ("succeeded", 3600.0)


async def test_a_wait_inside_bodies_wakes_the_earliest_first() -> None:
    clock = FrozenClock(START)
    mine = engine(clock)
    body = Block((wait("rest", time="${{ item }}"),), final="rest")
    plan = a_plan(a_step("each", "foreach", foreach=ForeachRule(["2h", "1h"]), body=body), probe("after", "each"))

    moments: list[timedelta] = []
    run = await mine.start(plan)
    while run.status == "waiting":
        assert run.wake_at is not None
        moments.append(run.wake_at - START)
        clock.advance((run.wake_at - clock.now()).total_seconds())
        run = await mine.walk(plan)

    assert (run.status, moments) == ("succeeded", [timedelta(hours=1), timedelta(hours=2)])


async def test_a_first_join_does_not_wait_for_a_waiting_step() -> None:
    mine = engine(FrozenClock(START))
    plan = a_plan(wait("rest"), probe("fast", with_={"sleep_s": 0.02}), probe("won", "rest", "fast", join="first"))

    run = await mine.start(plan)

    assert run.status == "succeeded"
    assert await mine.statuses() == {"rest": "cancelled:first", "fast": "succeeded", "won": "succeeded"}


async def test_fail_fast_ends_a_wait() -> None:
    mine = engine(FrozenClock(START))
    plan = a_plan(wait("rest"), probe("bad", with_={"fails": -1, "sleep_s": 0.02}), fail_fast=True)

    run = await mine.start(plan)

    assert (run.status, await mine.statuses()) == ("failed", {"rest": "cancelled:fail_fast", "bad": "failed"})


async def test_a_cancel_ends_a_wait() -> None:
    mine, plan = engine(FrozenClock(START)), a_plan(wait("rest"), finally_steps=(probe("audit"),))
    await mine.start(plan)
    await mine.store.request_cancel("acme", "r1")

    ended = await mine.walk(plan)

    assert ended.status == "cancelled"
    assert await mine.statuses() == {"rest": "cancelled:cancelled", "audit": "succeeded"}


async def test_no_step_is_left_open_when_the_run_has_ended() -> None:
    clock = FrozenClock(START)
    mine = engine(clock)
    body = Block((wait("rest", time="${{ item }}"), probe("bad", "rest", with_={"fails": -1})), final="bad")
    plan = a_plan(a_step("each", "foreach", foreach=ForeachRule(["1h", "2h"], max_parallel=2), body=body))
    await mine.start(plan)
    clock.advance(3600)
    await mine.walk(plan)
    clock.advance(3600)

    ended = await mine.walk(plan)

    open_ = {path for path, step in (await mine.steps()).items() if step.status in {"running", "waiting"}}
    assert (ended.status, open_) == ("failed", set())


@pytest.mark.parametrize("section", ["on_failure", "finally"])
def test_nothing_is_waited_for_when_the_run_ends(section: str) -> None:
    text = f"flow: f\nspec: 1\nnodes: {{a: {{type: noop}}}}\n{section}: [{{id: w, type: wait, with: {{for: 1s}}}}]\n"

    found = check(text, file="f", catalog=EveryModel()).diagnostics

    assert [(d.code, d.line) for d in found] == [("not_allowed_here", 4)]


async def test_a_run_waits_while_its_child_does() -> None:
    clock = FrozenClock(START)
    mine = engine(clock)
    mine.plans["child@1"] = a_plan(
        wait("rest"),
        probe("end", "rest", with_={"value": 7}),
        flow="child",
        outputs={"v": "${{ nodes.end.output.value }}"},
    )
    plan = a_plan(a_step("call", "flow", with_={"ref": "child@1"}), outputs={"v": "${{ nodes.call.output.outputs.v }}"})

    waiting = await mine.start(plan)
    clock.advance(3600)
    ended = await mine.walk(plan)

    assert (waiting.status, ended.status, dict(ended.outputs)) == ("waiting", "succeeded", {"v": 7})
    assert set(await mine.statuses()) == {"call", "call.rest", "call.end"}
