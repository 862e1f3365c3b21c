"""A checked spec to a Plan: the document as data the engine can walk."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import cast

from bridge.json_types import JsonObject, JsonValue
from flows.block_scopes import ScopeTree
from flows.diagnostics import Diagnostics
from flows.expressions_uses import Use, uses_of
from flows.graph import Graph, build_graph
from flows.node_schemas import output_schema
from flows.plan import Arm, Block, ExperimentRule, Plan, PlanStep, Position
from flows.spec import BlockSpec, FlowSpec, StepSpec
from flows.validate_expressions import compile_all
from flows.versions import content_hash, fingerprint


def compile_flow(spec: FlowSpec) -> Plan:
    """The plan of a spec without errors. `flows.validate.check` makes specs, checks them and compiles them."""
    problems = Diagnostics(spec.file)
    uses = uses_of(spec, problems)
    compile_all(uses, item_names(spec), problems)
    tree = ScopeTree(spec)
    return assemble(tree, build_graph(tree, uses, problems), uses, {})


def item_names(spec: FlowSpec) -> frozenset[str]:
    """Every name that a foreach gives its items."""
    return frozenset(step.foreach.name for step in spec.walk() if step.foreach is not None)


def assemble(tree: ScopeTree, graph: Graph, uses: Iterable[Use], children: Mapping[str, Plan]) -> Plan:
    """The plan from what the checks have built already."""
    spec = tree.spec
    compiler = _Compiler(spec.file, graph, uses)
    return Plan(
        flow=spec.name,
        content_hash=content_hash(spec.text),
        block=compiler.block(spec.block, is_body=False),
        outputs=spec.outputs,
        inputs_schema=spec.inputs_schema,
        output_places=compiler.output_places,
        description=spec.description,
        on_failure=compiler.block(spec.on_failure, is_body=False).steps,
        finally_steps=compiler.block(spec.finally_steps, is_body=False).steps,
        budget=spec.budget,
        concurrency=spec.concurrency,
        timeout_s=spec.timeout_s,
        fail_fast=spec.fail_fast,
        engine=spec.engine,
        schedules=spec.schedules,
        triggers=spec.triggers,
        children=dict(children),
    )


class _Compiler:
    def __init__(self, file: str, graph: Graph, uses: Iterable[Use]) -> None:
        self._file = file
        self._graph = graph
        self._places: dict[str, dict[str, Position]] = {}
        self.output_places: dict[str, Position] = {}
        for use in uses:
            places = self.output_places if use.step is None else self._places.setdefault(use.step.id, {})
            places.setdefault(use.text.strip(), replace(use.start, file=file))

    def block(self, block: BlockSpec, *, is_body: bool) -> Block:
        steps = tuple(self._step(block.steps[name]) for name in block.order)
        final = next((step.id for step in steps if step.id in block.finals), None)
        return Block(steps, final if is_body else None)

    def _step(self, step: StepSpec) -> PlanStep:
        node_class = step.node_class
        body = self.block(step.body, is_body=True) if step.body is not None else None
        compiled = PlanStep(
            id=step.id,
            type=step.kind,
            config=step.config,
            depends_on=self._graph.dependencies(step.id),
            join=step.join,
            when=step.when,
            foreach=step.foreach,
            retry=step.retry,
            timeout_s=step.timeout_s,
            deadline_s=step.deadline_s,
            cache=step.cache,
            on_error=step.on_error,
            body=body,
            goto_only=step.id in self._graph.goto_targets,
            task=step.task,
            is_replayable=node_class.is_replayable_with(step.config) if node_class is not None else True,
            position=Position(step.key.line, step.key.column, self._file),
            places=self._places.get(step.id, {}),
            output_schema=output_schema(node_class, step.config),
        )
        compiled = replace(compiled, fingerprint=_fingerprint(compiled, step))
        return self._with_arms(compiled, step)

    def _with_arms(self, compiled: PlanStep, step: StepSpec) -> PlanStep:
        """The step with its arms as steps that stand for it: same place, same dependencies, their own blocks."""
        if step.experiment is None or step.node_class is None:
            return compiled
        configs = {arm.name: arm.step.config for arm in step.experiment.arms if arm.step is not None}
        can_run_again = all(step.node_class.is_replayable_with(config) for config in configs.values())
        whole = replace(compiled, is_replayable=compiled.is_replayable and can_run_again)
        varied = {
            name: replace(whole, config=config, fingerprint=fingerprint(whole.fingerprint, name, config))
            for name, config in configs.items()
        }
        arms = tuple(Arm(arm.name, arm.weight, varied.get(arm.name)) for arm in step.experiment.arms)
        return replace(whole, experiment=ExperimentRule(step.experiment.id, arms, step.experiment.unit))


def _fingerprint(step: PlanStep, spec: StepSpec) -> str:
    """Of what decides the outcome: type, block, condition, items, body, and whose outputs are read."""
    return fingerprint(
        step.type,
        step.config,
        step.when,
        cast("JsonObject | None", asdict(step.foreach) if step.foreach else None),
        [inner.fingerprint for inner in step.body.steps] if step.body else None,
        sorted({d.step for d in step.depends_on if d.reads == "output"}),
        [cast("JsonValue", asdict(rule)) for rule in step.on_error],
        step.task,
        *_varieties(spec),
    )


def _varieties(spec: StepSpec) -> list[JsonValue]:
    """What the arms of an experiment are, where there is one. Weights decide who gets which, not what they do."""
    if spec.experiment is None:
        return []
    arms: dict[str, JsonValue] = {
        arm.name: arm.step.config if arm.step is not None else None for arm in spec.experiment.arms
    }
    return [[spec.experiment.id, spec.experiment.unit, arms]]
