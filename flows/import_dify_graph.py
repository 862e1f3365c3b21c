"""The graph of a Dify document: who follows whom, through which branch, and what is certain to have run before."""

from dataclasses import dataclass, field

from flows.import_report import flag_at, get, items_at, text_at
from flows.yaml_nodes import YamlNode

BRANCHES = frozenset({"if-else", "question-classifier"})
NOT_STEPS = frozenset({"start", "end", "iteration-start", "loop-start", ""})
Taken = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DifyNode:
    """One node of the canvas."""

    id: str
    kind: str
    title: str
    data: YamlNode
    parent: str
    """The iteration or loop it lies in, else empty."""

    @property
    def is_step(self) -> bool:
        return self.kind not in NOT_STEPS

    @property
    def is_branch(self) -> bool:
        return self.kind in BRANCHES


@dataclass(slots=True)
class DifyGraph:
    """Nodes and edges, by id."""

    nodes: dict[str, DifyNode] = field(default_factory=dict[str, DifyNode])
    incoming: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    """Node -> (source, handle of the source)."""
    _taken: dict[str, Taken] = field(default_factory=dict[str, Taken])

    def targets(self, source: str, handle: str) -> list[str]:
        """The nodes behind one way out of a branch, in document order."""
        return [name for name in self.nodes if (source, handle) in self.incoming.get(name, [])]

    def is_named_by(self, branch: str, target: str) -> bool:
        """Can a switch name the step itself? Only when every way to it starts at this branch."""
        sources = self.incoming.get(target, [])
        return self.nodes[target].is_step and all(source == branch for source, _ in sources)

    def certain(self, name: str) -> Taken:
        """The branches that are certain to have been taken when this node runs; and it runs whenever they are.

        Where several ways meet that do not make up a whole branch, the node itself is in the set: it may be left out.
        """
        if name not in self._taken:
            self._taken[name] = frozenset()  # a circle ends here; validation reports it
            ways = {self._through(source, handle) for source, handle in self.incoming.get(name, [])}
            while len(ways) > 1 and (joined := self._joined(ways)) is not None:
                ways = joined
            meeting = frozenset[tuple[str, str]]() if len(ways) < 2 else frozenset({(name, "reached")})
            self._taken[name] = (frozenset.intersection(*ways) if ways else frozenset()) | meeting
        return self._taken[name]

    def _joined(self, ways: set[Taken]) -> set[Taken] | None:
        """The ways with those that are all the ways out of one branch made one; None when there are no such."""
        for way in ways:
            for branch, handle in way:
                rest = way - {(branch, handle)}
                whole = {rest | {(branch, other)} for other in self.handles(branch)}
                if len(whole) > 1 and whole <= ways:
                    return (ways - whole) | {rest}
        return None

    def handles(self, branch: str) -> list[str]:
        """The ways out of a branch."""
        node = self.nodes.get(branch)
        if node is None or not node.is_branch:
            return []
        if node.kind == "question-classifier":
            return [text_at(one, "id") for one in items_at(node.data, "classes")]
        cases = items_at(node.data, "cases") or items_at(node.data, "conditions")
        own = [text_at(one, "case_id") or text_at(one, "id") for one in cases if get(one, "conditions") is not None]
        return [*(own or ["true"]), "false"]

    def _through(self, source: str, handle: str) -> Taken:
        before = self.certain(source) if source in self.nodes else frozenset[tuple[str, str]]()
        node = self.nodes.get(source)
        return before | {(source, handle)} if node is not None and node.is_branch else before

    def inside(self, parent: str) -> list[DifyNode]:
        """The nodes that lie directly in an iteration (or, with an empty name, on the canvas)."""
        return [node for node in self.nodes.values() if node.parent == parent]


def read_graph(root: YamlNode) -> DifyGraph:
    """The graph of a document; edges to nodes that are not there are dropped."""
    graph = DifyGraph()
    for item in items_at(root, "workflow", "graph", "nodes"):
        data = get(item, "data")
        kind = text_at(data, "type")
        if data is None or text_at(item, "type") == "custom-note":
            continue
        parent = text_at(item, "parentId") or text_at(data, "iteration_id") or text_at(data, "loop_id")
        name = text_at(item, "id")
        graph.nodes[name] = DifyNode(name, kind, text_at(data, "title") or kind, data, parent)
    for edge in items_at(root, "workflow", "graph", "edges"):
        source, target = text_at(edge, "source"), text_at(edge, "target")
        if source in graph.nodes and target in graph.nodes and not flag_at(edge, "data", "isDeleted"):
            graph.incoming.setdefault(target, []).append((source, text_at(edge, "sourceHandle") or "source"))
    return graph
