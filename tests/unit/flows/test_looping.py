"""Loops: what a pass may change, when they end, what they cost, and going on in the middle of one."""

from dataclasses import replace
from typing import Any

import pytest

from flows.looping import next_state
from flows.plan import Block, ErrorRule, ForeachRule, PlanStep
from flows.runs import StepRun
from nodes.errors import InvalidInputError
from nodes.node import node_types
from tests.support.engine import Engine, ScriptedModels, a_plan, a_run, a_step, paid, reads

MAP = {"map": {"n": "state.n + 1", "text": "nodes.ask.output.text"}}


def engine(models: ScriptedModels | None = None) -> Engine:
    made = Engine(models or ScriptedModels())
    made.services = replace(made.services, node_types=node_types())
    made.lane = type(made.lane)(made.services)
    return made


def a_loop(until: str = "state.n >= 3", **fields: Any) -> PlanStep:
    """Asks once a pass and counts in `n`; the prompt says which pass it is."""
    config = {"state": {"n": 0, "text": ""}, "until": until, "max": 5, **fields.pop("with_", {})}
    body = Block(
        (
            paid("ask", with_={"prompt": "${{ 'pass ' + string(state.n) }}"}),
            a_step("step", "transform", with_=MAP, depends_on=[reads("ask")]),
        ),
        final="step",
    )
    return a_step("again", "loop", with_=config, body=body, **fields)


OUTPUTS = {"state": "${{ nodes.again.output.state }}", "passes": "${{ nodes.again.output.iterations }}"}


async def test_a_loop_ends_when_until_holds_and_its_cost_is_that_of_all_passes() -> None:
    mine = engine()

    run = await mine.start(a_plan(a_loop(), outputs=OUTPUTS))

    assert dict(run.outputs) == {"state": {"n": 3, "text": "re: pass 2"}, "passes": 3}
    assert (run.cost_nano_usd, (await mine.steps())["again"].cost_nano_usd) == (3000, 3000)
    assert set(await mine.steps()) == {"again"} | {f"again[{i}].{step}" for i in range(3) for step in ("ask", "step")}


async def test_a_loop_that_uses_up_max_fails_as_the_users_and_keeps_its_cost() -> None:
    mine = engine()

    run = await mine.start(a_plan(a_loop("state.n > 99", with_={"max": 2})))

    assert [(error.error_class, error.path) for error in run.errors] == [("user", "again")]
    assert (run.status, run.cost_nano_usd) == ("failed", 2000)


async def test_on_max_continue_gives_what_there_is() -> None:
    run = await engine().start(a_plan(a_loop("state.n > 99", with_={"max": 2, "on_max": "continue"}), outputs=OUTPUTS))

    assert (run.status, run.outputs["passes"]) == ("succeeded", 2)


async def test_an_error_of_until_fails_the_loop_after_the_pass_that_was_paid() -> None:
    run = await engine().start(a_plan(a_loop("state.text.size() > state.nothing")))

    assert [(error.error_class, error.node) for error in run.errors] == [("validation", "again")]
    assert run.cost_nano_usd == 1000


async def test_a_walk_that_goes_on_in_the_middle_repeats_no_paid_pass() -> None:
    mine = engine()
    await mine.store.create(a_run(a_plan()))
    dead = await mine.store.acquire("r1", "dead", lease_s=0)
    assert dead is not None
    kept = StepRun(path="", step="ask", type="test_paid", status="succeeded", attempts=1, fingerprint="f-ask")
    stored = [
        replace(kept, path=f"again[{number}].ask", output={"text": f"kept {number}"}, cost_nano_usd=7)
        for number in (0, 1)
    ]
    await mine.store.save_steps(dead, [*stored, replace(kept, path="again[2].ask", status="running")])

    run = await mine.walk(a_plan(a_loop(), outputs=OUTPUTS))

    assert (run.status, mine.models.prompts) == ("succeeded", ["pass 2"])
    assert dict(run.outputs) == {"state": {"n": 3, "text": "re: pass 2"}, "passes": 3}
    assert run.cost_nano_usd == 1014


async def test_a_loop_may_run_for_each_item() -> None:
    mine = engine()
    loop = a_loop("state.n >= item", foreach=ForeachRule([1, 2]))

    run = await mine.start(a_plan(loop, outputs={"n": "${{ nodes.again.output.map(one, one.state.n) }}"}))

    assert dict(run.outputs) == {"n": [1, 2]}
    assert {"again[0][0].ask", "again[1][1].ask"} <= set(await mine.steps())


async def test_the_timeout_of_a_loop_cancels_the_running_step_and_keeps_what_was_paid() -> None:
    mine = engine(ScriptedModels(delay_s=0.05))
    loop = a_loop("state.n > 99", timeout_s=0.08, on_error=(ErrorRule("continue"),))

    run = await mine.start(a_plan(loop))

    steps = await mine.statuses()
    assert (run.status, steps["again"], steps["again[1].ask"]) == ("partial", "failed", "cancelled:timeout")
    error = (await mine.steps())["again"].error
    assert error is not None
    assert (error.error_class, run.cost_nano_usd) == ("timeout", 1000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"n": 0, "share": 0.5, "any": None}),
        ({"n": 2}, {"n": 2, "share": 0.5, "any": None}),
        ({"share": 1}, {"n": 0, "share": 1.0, "any": None}),
        ({"any": [1]}, {"n": 0, "share": 0.5, "any": [1]}),
    ],
)
def test_a_pass_replaces_the_values_it_names(given: Any, expected: dict[str, Any]) -> None:
    after = next_state({"n": 0, "share": 0.5, "any": None}, given)

    assert after == expected
    assert {name: type(value) for name, value in after.items()} == {n: type(v) for n, v in expected.items()}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"m": 1}, "`m`, which is no state value; state is `n`"),
        ({"n": 1.5}, "was a whole number and became a number; types of state values never change; begin with"),
        ({"n": True}, "was a whole number and became true or false"),
        ({"n": None}, "was a whole number and became null"),
        ([1], "gives a map of state values, it gave a list"),
    ],
)
def test_what_a_pass_may_not_give(given: Any, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        next_state({"n": 0}, given)
