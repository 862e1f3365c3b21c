"""A new run that begins with what another had done: nothing that succeeded is done, or paid for, again."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.errors import NoRouteError
from flows.plan import Block, ErrorRule, ForeachRule, Plan
from flows.replay import load_recorded
from flows.rerun import kept_steps
from flows.runs import Run
from tests.support.engine import Engine, a_plan, a_run, a_step, failing, paid, probe, reads


async def begun(engine: Engine, plan: Plan, **how: Any) -> Run:
    """A new run r2 of `plan` over what r1 has left, walked to its end."""
    kept = kept_steps(await load_recorded(engine.store, "r1"), plan, **how)
    await engine.store.create(replace(a_run(plan, run_id="r2"), parent_run_id="r1"))
    first = await engine.store.acquire("r2", "me")
    assert first is not None
    await engine.store.save_steps(first, kept.steps)
    return await engine.walk(plan, "r2")


def asks(step_id: str, *needs: str, prompt: str | None = None, **fields: Any) -> Any:
    return paid(step_id, *needs, with_={"prompt": prompt or step_id}, **fields)


CHAIN = a_plan(asks("a"), asks("b", "a"), asks("c", "b"), asks("other"))


async def test_from_a_step_on_it_and_what_follows_are_done_again_and_the_rest_is_kept_for_nothing() -> None:
    engine = Engine()
    await engine.start(CHAIN)
    engine.models.prompts.clear()

    run = await begun(engine, CHAIN, start="b")

    assert engine.models.prompts == ["b", "c"]
    assert run.cost_nano_usd == 2000
    steps = await engine.steps("r2")
    assert {path: (step.reason, step.cost_nano_usd) for path, step in steps.items()} == {
        "a": ("reused", 0),
        "other": ("reused", 0),
        "b": (None, 1000),
        "c": (None, 1000),
    }


async def test_a_failed_run_goes_on_where_it_failed_and_tells_what_that_saves() -> None:
    engine = Engine()
    broken = a_plan(asks("a"), failing("b", "a"), asks("c", "b"))
    await engine.start(broken)
    mended = a_plan(asks("a"), probe("b", "a"), asks("c", "b"))

    kept = kept_steps(await load_recorded(engine.store, "r1"), mended)
    run = await begun(engine, mended)

    assert [step.path for step in kept.steps] == ["a"]
    assert kept.saved_nano_usd == 1000
    assert run.status == "succeeded"
    assert engine.models.prompts == ["a", "c"]


async def test_on_another_version_changed_steps_and_their_dependents_are_done_again() -> None:
    engine = Engine()
    await engine.start(CHAIN)
    engine.models.prompts.clear()
    steps = CHAIN.block.steps
    newer = a_plan(steps[0], asks("b", "a", prompt="better", fingerprint="f2"), steps[2], steps[3], asks("added"))

    await begun(engine, newer)

    assert sorted(engine.models.prompts) == ["added", "better", "c"]


async def test_of_many_items_only_those_that_failed_are_done_again() -> None:
    engine = Engine()
    each = asks("each", prompt="${{ item }}", foreach=ForeachRule(items=["x", "y", "z"]))
    plan = a_plan(each, asks("after", "each"), outputs={"all": "${{ nodes.each.output }}"})
    engine.models.failures["y"] = NoRouteError("nobody")
    await engine.start(plan)
    engine.models.failures.clear()
    engine.models.prompts.clear()

    run = await begun(engine, plan)

    assert engine.models.prompts == ["y", "after"]
    assert run.status == "succeeded"
    assert run.outputs["all"] == [{"text": "re: x"}, {"text": "re: y"}, {"text": "re: z"}]


async def test_in_a_body_what_follows_a_failed_inner_step_is_done_again_in_that_item_alone() -> None:
    engine = Engine()
    body = Block((asks("in1", prompt="1 ${{ item }}"), asks("in2", "in1", prompt="2 ${{ item }}")), final="in2")
    foreach = ForeachRule(items=["x", "y"], max_parallel=1, on_item_error="continue")
    plan = a_plan(a_step("each", "foreach", body=body, foreach=foreach))
    engine.models.failures["2 y"] = NoRouteError("nobody")
    await engine.start(plan)
    engine.models.failures.clear()
    engine.models.prompts.clear()

    await begun(engine, plan, start="each[1].in2")

    assert engine.models.prompts == ["2 y"]


async def test_handled_failures_stay_as_they_are_unless_they_are_asked_for() -> None:
    engine = Engine()
    a = asks("a", on_error=(ErrorRule("default", default={"text": "none"}),))
    plan = a_plan(a, asks("b", prompt="${{ nodes.a.output.text }}", depends_on=[reads("a")]), failing("c", "b"))
    engine.models.failures["a"] = NoRouteError("nobody")
    await engine.start(plan)
    engine.models.failures.clear()
    engine.models.prompts.clear()

    await begun(engine, plan)
    assert engine.models.prompts == []

    kept = kept_steps(await load_recorded(engine.store, "r1"), plan, start="a")
    assert kept.steps == ()


async def test_a_step_that_does_not_exist_is_refused_by_naming_those_that_do() -> None:
    engine = Engine()
    await engine.start(CHAIN)

    with pytest.raises(LookupError, match="no step 'd'; its steps are a, b, c, other"):
        kept_steps(await load_recorded(engine.store, "r1"), CHAIN, start="d")
