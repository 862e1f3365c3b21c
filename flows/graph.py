"""The edges between steps: what is read, what is named, in which order that can run, and where it goes in circles."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flows.block_scopes import BlockScope, ScopeTree
from flows.diagnostics import Diagnostics
from flows.expressions_facts import Read
from flows.expressions_uses import Use
from flows.plan import Dependency
from flows.spec import BlockSpec, NameUse, StepSpec
from flows.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class Edge:
    """`step` waits for `upstream`; `why` says for people what for, and where."""

    upstream: str
    reads: str
    """needs, output, state, switch or goto."""
    is_coalesced: bool
    why: str


@dataclass(slots=True)
class Graph:
    """Edges by the step that waits. Steps in circles are in no order."""

    edges: dict[str, list[Edge]] = field(default_factory=dict[str, list[Edge]])
    goto_targets: set[str] = field(default_factory=set[str])
    cyclic: set[str] = field(default_factory=set[str])

    def add(self, step: str, edge: Edge) -> None:
        """Add an edge."""
        self.edges.setdefault(step, []).append(edge)

    def dependencies(self, step: str) -> tuple[Dependency, ...]:
        """One dependency an upstream, the strongest reading of it: needs, output, then state; switches beside them."""
        found: list[Dependency] = []
        by_upstream: dict[str, list[Edge]] = {}
        for edge in self.edges.get(step, []):
            by_upstream.setdefault(edge.upstream, []).append(edge)
        for upstream, edges in by_upstream.items():
            switch = next((e for e in edges if e.reads == "switch"), None)
            if switch is not None:
                found.append(Dependency(upstream, "switch", why=switch.why))
            reads = [e for e in edges if e.reads in {"needs", "output", "state"}]
            strict = next(
                (e for e in reads if e.reads == "needs" or (e.reads == "output" and not e.is_coalesced)), None
            )
            why = "; ".join(dict.fromkeys(e.why for e in reads))
            if strict is not None:
                found.append(Dependency(upstream, "needs" if strict.reads == "needs" else "output", why=why))
            elif any(e.reads == "output" for e in reads):
                found.append(Dependency(upstream, "output", is_coalesced=True, why=why))
            elif reads:
                found.append(Dependency(upstream, "state", why=why))
        return tuple(found)

    def upstream_of(self, step: str, *, with_goto: bool = True) -> set[str]:
        """Everything the step waits for, directly or not, within its block."""
        found: set[str] = set()
        pending = [step]
        while pending:
            for edge in self.edges.get(pending.pop(), []):
                if edge.upstream not in found and (with_goto or edge.reads != "goto"):
                    found.add(edge.upstream)
                    pending.append(edge.upstream)
        return found


def build_graph(tree: ScopeTree, uses: Iterable[Use], problems: Diagnostics) -> Graph:
    """All edges of the document; orders and final steps are set on its blocks."""
    graph = Graph()
    builder = _GraphBuilder(tree, graph, problems)
    for step in tree.spec.walk():
        builder.names(step)
    for use in uses:
        if use.facts is not None:
            for read in use.facts.reads:
                builder.read(use, read)
    for step in tree.spec.walk():
        builder.gotos(step)
    for scope in tree.blocks:
        _order(scope, graph, problems)
    return graph


class _GraphBuilder:
    def __init__(self, tree: ScopeTree, graph: Graph, problems: Diagnostics) -> None:
        self._tree = tree
        self._graph = graph
        self._problems = problems
        self._chosen: dict[str, tuple[str, NameUse]] = {}
        """Step named by a switch -> the switch, and where."""

    def names(self, step: StepSpec) -> None:
        scope = self._tree.of_step[step.id]
        if scope.before is not None and step.needs:
            message = f"steps of `{step.section}` run in the order they stand; `needs` is not allowed"
            self._problems.error(step.node.key("needs") or step.key, "not_allowed_here", message)
        for use in step.needs if scope.before is None else ():
            if self._is_in_block(scope, use, step, "needs"):
                self._graph.add(step.id, Edge(use.name, "needs", is_coalesced=False, why=f"needs ({_at(use)})"))
        for use in step.chooses:
            if not self._is_in_block(scope, use, step, "a switch"):
                continue
            first = self._chosen.setdefault(use.name, (step.id, use))
            if first[0] != step.id:
                message = f"`{use.name}` is named by the switch at {_at(first[1])} already"
                self._problems.error(use.at, "bad_switch", message, "a step may be named by one switch only")
                continue
            self._graph.add(
                use.name, Edge(step.id, "switch", is_coalesced=False, why=f"chosen by {step.id} ({_at(use)})")
            )

    def gotos(self, step: StepSpec) -> None:
        scope = self._tree.of_step[step.id]
        for use in step.gotos:
            if not self._is_in_block(scope, use, step, "goto"):
                continue
            if use.name in self._graph.upstream_of(step.id):
                message = f"`{use.name}` runs before `{step.id}`; a goto leads forward only"
                self._problems.error(use.at, "bad_goto", message, "name a step that does not come before this one")
                continue
            self._graph.goto_targets.add(use.name)
            self._graph.add(use.name, Edge(step.id, "goto", is_coalesced=False, why=f"goto of {step.id} ({_at(use)})"))

    def read(self, use: Use, read: Read) -> None:
        """The edge of one read of `nodes`."""
        if read.root != "nodes":
            return
        if not read.fields:
            message = "`nodes` as a whole cannot be read: what a step waits for must be known"
            self._problems.error(use.place(read.offset), "unknown_step", message, "write nodes.<step>.output")
            return
        step = use.step
        scope = self._tree.of_step[step.id] if step is not None else self._tree.main
        target = read.fields[0]
        if target not in scope.visible():
            self._unknown(use, read, scope)
            return
        if step is None or (owner := scope.owner_of(target, step)) is None:
            self._check_order(use, read, scope)
            return
        place = use.place(read.offset)
        kind = reading_of(read)
        shown = ".".join(("nodes", *read.fields[:2]))
        why = f"reads {shown} in {_owner_prefix(owner, step)}{use.where} ({place.line}:{place.column})"
        if not (scope.before is not None and target in scope.block.steps):
            self._graph.add(owner.id, Edge(target, kind, read.is_coalesced, why))
        else:
            self._check_order(use, read, scope)

    def _check_order(self, use: Use, read: Read, scope: BlockScope) -> None:
        """In on_failure and finally only what stands above has run."""
        ids = list(scope.block.steps)
        target = read.fields[0]
        if use.step is None or scope.before is None or target not in ids:
            return
        if ids.index(target) >= ids.index(use.step.id):
            message = f"`{target}` runs after this step"
            self._problems.error(use.place(read.field_offsets[0]), "unknown_step", message, "these steps run in order")

    def _unknown(self, use: Use, read: Read, scope: BlockScope) -> None:
        target = read.fields[0]
        place = use.place(read.field_offsets[0])
        inner = self._tree.of_step.get(target)
        if inner is not None and inner.owner is not None:
            shown = "state" if inner.owner.kind == "loop" else "results"
            hint = f"it is a step of the body of `{inner.owner.id}`: read nodes.{inner.owner.id}.output.{shown}"
            self._problems.error(place, "unknown_step", f"the step `{target}` cannot be seen from here", hint)
        elif inner is not None:
            self._problems.error(place, "unknown_step", f"the step `{target}` runs after this", None)
        else:
            names = scope.visible()
            hint = did_you_mean(target, names) or f"steps are: {', '.join(list(names)[:20])}"
            self._problems.error(place, "unknown_step", f"there is no step `{target}`", hint)

    def _is_in_block(self, scope: BlockScope, use: NameUse, step: StepSpec, what: str) -> bool:
        code = {"a switch": "bad_switch", "goto": "bad_goto"}.get(what, "unknown_step")
        others = {name for name in scope.block.steps if name != step.id}
        if use.name in others:
            return True
        if use.name == step.id:
            self._problems.error(use.at, "cycle" if what == "needs" else code, f"`{step.id}` names itself")
        elif use.name in self._tree.of_step:
            message = f"the step `{use.name}` stands in another block; {what} names steps of its own block"
            self._problems.error(use.at, code, message)
        else:
            hint = did_you_mean(use.name, others) or f"steps here are: {', '.join(sorted(others)[:20]) or 'none'}"
            self._problems.error(use.at, "unknown_step", f"there is no step `{use.name}`", hint)
        return False


def reading_of(read: Read) -> str:
    """`output` when the value is needed, `state` when any end of the step will do."""
    is_existence_test = read.is_test and read.fields[1:] == ("output",)
    return "output" if len(read.fields) < 2 or (read.fields[1] == "output" and not is_existence_test) else "state"


def _order(scope: BlockScope, graph: Graph, problems: Diagnostics) -> None:
    """Set the block's order and final steps; report circles."""
    block = scope.block
    ids = {name: index for index, name in enumerate(block.steps)}
    names = list(ids)
    upstream = {name: {e.upstream for e in graph.edges.get(name, []) if e.upstream in ids} for name in ids}
    downstream: dict[str, list[str]] = {name: [] for name in ids}
    for name, sources in upstream.items():
        for source in sources:
            downstream[source].append(name)
    waiting = {name: len(sources) for name, sources in upstream.items()}
    ready = [ids[name] for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for follower in downstream[name]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, ids[follower])
    stuck = set(ids) - set(order)
    _report_cycles(block, {name: upstream[name] & stuck for name in ids if name in stuck}, graph, problems)
    block.order = tuple(order) + tuple(name for name in ids if name in stuck)
    block.finals = frozenset(name for name, followers in downstream.items() if not followers)


def _report_cycles(block: BlockSpec, upstream: Mapping[str, set[str]], graph: Graph, problems: Diagnostics) -> None:
    covered: set[str] = set()
    for name in upstream:
        path = _shortest_circle(name, upstream) if name not in covered else None
        if path is None:
            continue
        covered |= {other for other in upstream if _reaches(name, other, upstream) and _reaches(other, name, upstream)}
        shown = " -> ".join(path)
        message = (
            f"these steps wait for each other: {shown}" if len(path) > 2 else f"`{name}` waits for itself: {shown}"
        )
        problems.error(block.steps[name].key, "cycle", message, "remove one of the reads")
    graph.cyclic |= set(upstream)


def _shortest_circle(start: str, upstream: Mapping[str, set[str]]) -> list[str] | None:
    """From `start` along what waits for it back to `start`, in the order of running."""
    came_from: dict[str, str] = {}
    pending = [start]
    for name in pending:
        for source in sorted(upstream.get(name, ())):
            if source == start:
                path = [start, name]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path
            if source not in came_from:
                came_from[source] = name
                pending.append(source)
    return None


def _reaches(start: str, goal: str, upstream: Mapping[str, set[str]]) -> bool:
    seen = {start}
    pending = [start]
    for name in pending:
        for source in upstream.get(name, ()):
            if source == goal:
                return True
            if source not in seen:
                seen.add(source)
                pending.append(source)
    return False


def _at(use: NameUse) -> str:
    return f"{use.at.line}:{use.at.column}"


def _owner_prefix(owner: StepSpec, step: StepSpec | None) -> str:
    return "" if step is None or owner is step else f"{step.id}."
