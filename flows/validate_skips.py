"""Which steps may end without an output, and who reads them without coalesce."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flows.block_scopes import BlockScope, ScopeTree
from flows.diagnostics import Diagnostics
from flows.expressions_uses import Use
from flows.graph import Graph, reading_of
from flows.spec import StepSpec

_SUGGESTION = "read it inside coalesce(...)"


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a step may end without an output: because it is skipped, because it fails and the flow goes on, or both."""

    by_skip: str | None
    by_failure: str | None


def check_skips(tree: ScopeTree, graph: Graph, uses: Iterable[Use], problems: Diagnostics) -> None:
    """Report reads of outputs that may be absent where nothing allows for it."""
    absent = steps_that_may_lack_output(tree, graph)
    for use in uses:
        for read in use.facts.reads if use.facts is not None else ():
            if read.root == "nodes" and read.fields and not read.is_coalesced and reading_of(read) == "output":
                reason = _why_absent(tree, graph, use, read.fields[0], absent)
                if reason:
                    problems.error(use.place(read.offset), "maybe_skipped", reason, _SUGGESTION)


def steps_that_may_lack_output(tree: ScopeTree, graph: Graph) -> dict[str, Absence]:
    """The steps that may end without an output."""
    absent: dict[str, Absence] = {}
    for scope in tree.blocks:
        for name in scope.block.order:
            step = scope.block.steps[name]
            absence = Absence(_why_skipped(scope, step, graph, absent), _why_failed(step, graph))
            if absence.by_skip or absence.by_failure:
                absent[name] = absence
    return absent


def _why_skipped(scope: BlockScope, step: StepSpec, graph: Graph, absent: Mapping[str, Absence]) -> str | None:
    if step.when is not None and step.when.strip() != "true":
        return f"`{step.id}` is skipped when its `when` is false"
    if step.id in graph.goto_targets:
        return f"`{step.id}` is skipped unless a goto leads to it"
    if any(dependency.reads == "switch" for dependency in graph.dependencies(step.id)):
        return f"`{step.id}` is skipped when its switch does not take it"
    return _inherited(scope, step, graph, absent)


def _why_failed(step: StepSpec, graph: Graph) -> str | None:
    if any(rule.action == "continue" or rule.goto in graph.goto_targets for rule in step.on_error):
        return f"`{step.id}` has no output when it fails and its `on_error` goes on"
    return None


def _inherited(scope: BlockScope, step: StepSpec, graph: Graph, absent: Mapping[str, Absence]) -> str | None:
    """Why an upstream may skip the step, as far as its join lets it."""
    if step.join in {"none_failed", "all_done"} or scope.before is not None:
        return None
    awaited = [d for d in graph.dependencies(step.id) if d.reads in {"needs", "output"}]
    skipping = [d for d in awaited if d.step in absent and absent[d.step].by_skip]
    if step.join == "all_succeeded":
        blocking = next((d for d in skipping if not d.is_coalesced), None)
        return f"`{step.id}` is skipped when `{blocking.step}` is" if blocking else None
    is_all = bool(awaited) and len(skipping) == len(awaited)
    return f"`{step.id}` is skipped when everything it waits for is" if is_all else None


def _why_absent(tree: ScopeTree, graph: Graph, use: Use, target: str, absent: Mapping[str, Absence]) -> str | None:
    """Why the output may be missing when this expression is evaluated; None when it is surely there."""
    scope = tree.of_step[use.step.id] if use.step is not None else tree.main
    if target not in scope.visible() or target in graph.cyclic:
        return None
    absence = absent.get(target, Absence(None, None))
    if use.step is None:
        return absence.by_skip or absence.by_failure
    if scope.is_closing and target not in scope.block.steps:
        return f"`{target}` may not have run when `{use.step.section}` runs"
    owner = scope.owner_of(target, use.step)
    if owner is None:
        return None
    return _why_missing(owner, graph, target, absence)


def _why_missing(owner: StepSpec, graph: Graph, target: str, absence: Absence) -> str | None:
    """The same for a step that has started, by its join."""
    if owner.join in {"any_succeeded", "first"}:
        awaited = [d for d in graph.dependencies(owner.id) if d.reads in {"needs", "output"}]
        if len(awaited) > 1:
            return f"with `join: {owner.join}` `{target}` may have no output"
    return absence.by_failure or (None if owner.join == "all_succeeded" else absence.by_skip)
