"""All problems of a flow at once, each at its place, with a way out; and its plan when there are none."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flows.block_scopes import ScopeTree
from flows.compile import assemble, item_names
from flows.cost_bound import check_budget
from flows.diagnostics import Checked, Diagnostics
from flows.expressions_uses import Use, uses_of
from flows.flow_tests import read_tests
from flows.graph import Graph, build_graph
from flows.plan import Position
from flows.spec import FlowSpec, StepSpec
from flows.spec_reader import read_spec
from flows.validate_children import ChildReader
from flows.validate_expressions import ExpressionChecker, compile_all
from flows.validate_loops import check_loops
from flows.validate_nodes import (
    ModelNames,
    check_body,
    check_defaults,
    check_item_names,
    check_join,
    check_models,
    check_templates,
    check_waiting,
    is_never,
    read_switch,
)
from flows.validate_skips import check_skips
from flows.yaml_source import parse_yaml
from nodes.node import Node, node_types

__all__ = ["Checked", "ModelNames", "check"]


def check(
    text: str,
    *,
    file: str,
    catalog: ModelNames,
    read_ref: Callable[[str], str] | None = None,
    types: Mapping[str, type[Node[Any]]] | None = None,
) -> Checked:
    """Check a flow document and compile it.

    `read_ref` gives the text of flows it refers to (LookupError when there is none, NotImplementedError when that
    cannot be known here); without it such calls are checked when they run. `types` are all registered node types.
    """
    return _check(text, file, (), catalog, read_ref, types if types is not None else node_types())


def _check(  # noqa: PLR0917  # the recursion of child flows
    text: str,
    file: str,
    trail: tuple[str, ...],
    catalog: ModelNames,
    read_ref: Callable[[str], str] | None,
    types: Mapping[str, type[Node[Any]]],
) -> Checked:
    problems = Diagnostics(file)
    root = parse_yaml(text, problems)
    if root is None:
        if not problems.has_errors:
            problems.error(Position(1, 1), "wrong_type", "the document is empty", "a flow begins with `flow: name`")
        return Checked(problems.sorted(), None)
    spec = read_spec(root, text, problems, types)
    if spec is None:
        return Checked(problems.sorted(), None)
    again = partial(_check, catalog=catalog, read_ref=read_ref, types=types)
    children, outputs = ChildReader(read_ref, again, trail).read_all(spec, problems)
    uses = uses_of(spec, problems)
    for step in spec.walk():
        read_switch(step)
    compile_all(uses, item_names(spec), problems)
    tree = ScopeTree(spec)
    tree.child_outputs = outputs
    graph = build_graph(tree, uses, problems)
    tree.resolve_items()
    _check_steps(tree, graph, catalog, problems)
    _check_expressions(tree, graph, uses, problems)
    check_budget(spec, catalog, problems)
    _warn_unused(spec, uses, problems)
    tests = read_tests(spec, children, types, problems)
    plan = None if problems.has_errors else assemble(tree, graph, uses, children)
    return Checked(problems.sorted(), plan, tests)


def varieties(step: StepSpec) -> list[StepSpec]:
    """The step, and itself with the block of each arm of its experiment."""
    arms = step.experiment.arms if step.experiment is not None else ()
    return [step, *(arm.step for arm in arms if arm.step is not None)]


def _check_steps(tree: ScopeTree, graph: Graph, catalog: ModelNames, problems: Diagnostics) -> None:
    for step in tree.spec.walk():
        for variety in varieties(step):
            check_models(variety, catalog, problems)
            check_templates(variety, problems)
        check_join(step, graph, problems)
        check_waiting(step, problems)
        check_defaults(step, tree.output_of(step), problems)
        if step.body is not None:
            check_body(step.body, step, graph, problems)
        check_item_names(step, tree.of_step[step.id].names, problems)
        if is_never(step):
            at = step.node.get("when") or step.key
            problems.warning(at, "unreachable_step", f"`{step.id}` never runs: its `when` is always false")


def _check_expressions(tree: ScopeTree, graph: Graph, uses: list[Use], problems: Diagnostics) -> None:
    checker = ExpressionChecker(tree, problems)
    for use in uses:
        checker.check(use)
    check_skips(tree, graph, uses, problems)
    check_loops(tree, uses, problems)


def _warn_unused(spec: FlowSpec, uses: list[Use], problems: Diagnostics) -> None:
    """Inputs that nothing reads; silent where an expression cannot be read or takes all inputs."""
    if any(use.facts is None for use in uses):
        return
    reads = [read for use in uses if use.facts is not None for read in use.facts.reads if read.root == "inputs"]
    if any(not read.fields for read in reads):
        return
    used = {read.fields[0] for read in reads}
    for name, key in spec.inputs.items():
        if name not in used:
            problems.warning(key, "unused_input", f"the input `{name}` is not read anywhere", "remove it, or read it")
