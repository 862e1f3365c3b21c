"""A/B tests in flows: sticky arms, exposures stored once, arms checked like the step's own block."""

from collections import Counter
from dataclasses import replace

import pytest

from flows.cost_bound import cost_bound
from flows.experiments import Asker, Exposure, MemoryExposures, arm_of
from flows.plan import Arm, ExperimentRule, Plan
from flows.replay import load_recorded, replay
from flows.replay_report import report_of
from flows.validate import Checked, check
from nodes.node import ModelUse, node_types
from tests.support.conformance import EveryModel
from tests.support.engine import START, Engine, ScriptedModels, a_plan, paid

HALVES = ExperimentRule("greeting", (Arm("a", 50), Arm("b", 50)))
ASKER = Asker("acme", "demo", "r1", "say", START)


def flow(
    experiment: str, *, with_: str = "{model: cheap, prompt: 'hi {{ n }}', vars: {n: '${{ inputs.n }}'}}"
) -> Checked:
    text = f"flow: f\ninputs: {{n: {{type: string}}}}\nnodes:\n  say:\n    type: llm\n    with: {with_}\n"
    return check(f"{text}    experiment: {experiment}\n", file="f.yaml", catalog=EveryModel())


def plan_of(experiment: str) -> Plan:
    checked = flow(experiment)
    assert checked.plan is not None, [problem.to_text() for problem in checked.diagnostics]
    return checked.plan


async def test_a_unit_keeps_the_arm_it_met_first_whatever_becomes_of_the_weights() -> None:
    exposures = MemoryExposures()
    first = {str(unit): await arm_of(HALVES, unit, exposures, ASKER) for unit in range(300)}
    turned = replace(HALVES, arms=(Arm("a", 1), Arm("b", 99)))

    again = {unit: await arm_of(turned, unit, exposures, ASKER) for unit in first}

    assert again == first
    assert 110 < Counter(first.values())["a"] < 190
    assert len(exposures.all()) == 300
    assert {one.share for one in exposures.all()} == {0.5}
    assert all(len(one.unit_hash) == 64 for one in exposures.all())


async def test_a_unit_whose_arm_is_switched_off_gets_another_one() -> None:
    exposures = MemoryExposures()
    units = [str(number) for number in range(40)]
    for unit in units:
        await arm_of(HALVES, unit, exposures, ASKER)

    off = replace(HALVES, arms=(Arm("a", 0), Arm("b", 50)))

    assert {await arm_of(off, unit, exposures, ASKER) for unit in units} == {"b"}


async def test_tests_and_organisations_do_not_share_units() -> None:
    exposures = MemoryExposures()
    await arm_of(HALVES, "u", exposures, ASKER)
    await arm_of(replace(HALVES, id="other"), "u", exposures, ASKER)
    await arm_of(HALVES, "u", exposures, replace(ASKER, org_id="rival"))

    assert len({one.unit_hash for one in exposures.all()}) == 3


async def test_a_step_runs_with_the_block_of_its_arm_and_its_replay_takes_the_same() -> None:
    b = paid("say", with_={"prompt": "b ${{ inputs.n }}"})
    rule = ExperimentRule("greeting", (Arm("a", 50), Arm("b", 50, b)), unit="${{ inputs.n }}")
    plan = a_plan(
        paid("say", with_={"prompt": "a ${{ inputs.n }}"}, experiment=rule),
        outputs={"t": "${{ nodes.say.output.text }}"},
    )
    engine = Engine(models=ScriptedModels())
    for number in range(12):
        await engine.start(plan, {"n": f"u{number}"}, run_id=f"r{number}")

    arms = {one.run_id: one.arm for one in _kept(engine)}
    assert {prompt[0] for prompt in engine.models.prompts} == {"a", "b"}
    for number, prompt in enumerate(engine.models.prompts):
        assert prompt == f"{arms[f'r{number}']} u{number}"
        recorded = await load_recorded(engine.store, f"r{number}")
        assert recorded.recordings["say"].arm == arms[f"r{number}"]
        turned = replace(rule, arms=(Arm("a", 1), Arm("b", 0.0001, b)))
        other = a_plan(replace(plan.block.steps[0], experiment=turned), outputs=plan.outputs)
        assert report_of(await replay(recorded, other, engine.services, is_same_flow=False), other).is_same


def _kept(engine: Engine) -> tuple[Exposure, ...]:
    exposures = engine.services.exposures
    assert isinstance(exposures, MemoryExposures)
    return exposures.all()


def test_an_arm_is_the_steps_block_with_its_own_fields_over_it() -> None:
    plan = plan_of("{id: greeting, unit: '${{ inputs.n }}', arms: {a: 90, b: {weight: 10, with: {model: best}}}}")
    rule = plan.block.steps[0].experiment

    assert rule is not None
    assert [(arm.name, arm.weight) for arm in rule.arms] == [("a", 90), ("b", 10)]
    step = plan.block.steps[0]
    assert rule.step_of("a", step) is step
    assert rule.step_of("b", step).config == {**step.config, "model": "best"}
    assert rule.step_of("b", step).fingerprint != step.fingerprint


def test_weights_do_not_make_another_step_and_arms_do() -> None:
    one = plan_of("{id: t, arms: {a: 90, b: {weight: 10, with: {model: best}}}}").block.steps[0]
    weights = plan_of("{id: t, arms: {a: 10, b: {weight: 90, with: {model: best}}}}").block.steps[0]
    arms = plan_of("{id: t, arms: {a: 90, b: {weight: 10, with: {model: fast}}}}").block.steps[0]

    assert one.fingerprint == weights.fingerprint != arms.fingerprint


def test_the_cost_bound_is_that_of_the_dearest_arm() -> None:
    class Priced(EveryModel):
        def worst_case_nano_usd(self, use: ModelUse) -> int | None:
            return 100 if use.model == "best" else 1

    plan = plan_of("{id: t, arms: {a: 90, b: {weight: 10, with: {model: best}}}}")

    assert cost_bound(plan, Priced()).worst_nano_usd == 100


@pytest.mark.parametrize(
    ("experiment", "code", "said"),
    [
        ("{id: t, arms: {a: 1, b: {weight: 1, with: {modle: best}}}}", "unknown_key", "modle"),
        ("{id: t, arms: {a: 1, b: {weight: 1, with: {max_tokens: -1}}}}", "invalid_value", "at least"),
        ("{id: t, arms: {a: 1, b: {weight: 1, with: {model: '${{ inputs.n }}'}}}}", "not_allowed_here", "expressions"),
        ("{id: t, arms: {a: 1, b: {weight: 1, with: {prompt: '{{ x }}'}}}}", "undefined_variable", "`x`"),
        ("{id: t, arms: {a: 1, b: {weight: 1, with: {schema: {type: object}}}}}", "invalid_value", "rely on"),
        ("{id: t, arms: {a: 0, b: 0}}", "invalid_value", "above 0"),
        ("{id: t, unit: '${{ inputs.m }}', arms: {a: 1, b: 1}}", "unknown_field", "`m`"),
        ("{id: t, arms: {a: 1}}", "invalid_value", ""),
    ],
)
def test_mistakes_in_experiments_are_found_before_a_run(experiment: str, code: str, said: str) -> None:
    found = flow(experiment)

    assert found.plan is None
    assert any(said in one.message for one in found.diagnostics), [one.to_text() for one in found.diagnostics]
    assert code in {one.code for one in found.diagnostics}, [one.to_text() for one in found.diagnostics]


def test_a_step_that_only_walks_others_takes_no_experiment() -> None:
    text = "flow: f\nnodes:\n  w: {type: wait, with: {for: 1s}, experiment: {id: t, arms: {a: 1, b: 1}}}\n"

    found = check(text, file="f.yaml", catalog=EveryModel(), types=node_types())

    assert [one.code for one in found.diagnostics] == ["not_allowed_here"]
