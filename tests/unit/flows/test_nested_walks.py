"""Child flows and bodies inside a walk: their outputs, their paths, their failures."""

from flows.plan import Block, ForeachRule
from tests.support.engine import Engine, a_plan, a_step, failing, probe, reads


async def test_a_child_flow_answers_its_outputs_and_its_steps_are_below_its_path() -> None:
    child = a_plan(
        probe("double", with_={"value": "${{ inputs.n * 2 }}"}),
        flow="child",
        outputs={"n": "${{ nodes.double.output.value }}"},
        inputs_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    )
    engine = Engine(plans={"child@1": child})
    plan = a_plan(
        a_step("call", "flow", with_={"ref": "child@1", "inputs": {"n": "${{ inputs.n }}"}}),
        outputs={"n": "${{ nodes.call.output.outputs.n }}"},
    )

    run = await engine.start(plan, {"n": 21})

    assert (run.status, dict(run.outputs)) == ("succeeded", {"n": 42})
    assert await engine.statuses() == {"call.double": "succeeded", "call": "succeeded"}


async def test_a_failed_child_flow_keeps_the_class_of_its_first_error_and_the_path_inward() -> None:
    engine = Engine(plans={"child@1": a_plan(failing("inner"), flow="child")})

    run = await engine.start(a_plan(a_step("call", "flow", with_={"ref": "child@1"})))

    assert [(e.node, e.path, e.error_class) for e in run.errors] == [("call", "call.inner", "unavailable")]


async def test_child_inputs_that_do_not_fit_fail_the_step_before_anything_runs() -> None:
    child = a_plan(probe("x"), flow="child", inputs_schema={"type": "object", "properties": {}, "required": []})
    engine = Engine(plans={"child@1": child})

    run = await engine.start(a_plan(a_step("call", "flow", with_={"ref": "child@1", "inputs": {"nope": 1}})))

    assert [(e.node, e.error_class) for e in run.errors] == [("call", "validation")]
    assert "call.x" not in await engine.statuses()


async def test_a_foreach_body_runs_per_item_and_its_final_step_is_the_element() -> None:
    engine = Engine()
    body = Block(
        steps=(
            probe("up", with_={"value": "${{ item * 10 }}"}),
            probe("last", with_={"value": "${{ nodes.up.output.value + index }}"}, depends_on=[reads("up")]),
        ),
        final="last",
    )
    plan = a_plan(
        a_step("each", "foreach", foreach=ForeachRule("${{ inputs.xs }}"), body=body),
        outputs={"all": "${{ nodes.each.output.results.map(r, r.value) }}"},
    )

    run = await engine.start(plan, {"xs": [1, 2]})

    assert dict(run.outputs) == {"all": [10, 21]}
    assert set(await engine.statuses()) == {"each", "each[0].up", "each[0].last", "each[1].up", "each[1].last"}


async def test_a_failure_inside_a_body_leads_inward() -> None:
    engine = Engine()
    body = Block(steps=(probe("inner", with_={"fails": "${{ item }}"}),), final="inner")

    run = await engine.start(a_plan(a_step("outer", "foreach", foreach=ForeachRule([0, -1]), body=body)))

    assert [(e.node, e.path, e.item_index) for e in run.errors] == [("outer", "outer[1].inner", 1)]
