"""What an expression reads, found by walking its syntax tree: names, fields, whether inside coalesce or has()."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from flows.expressions_ast import Ast


@dataclass(frozen=True, slots=True)
class Read:
    """A chain of fields from a root: `nodes.a.output.label`. Offsets count code points of the expression."""

    root: str
    fields: tuple[str, ...]
    offset: int
    field_offsets: tuple[int, ...] = ()
    is_coalesced: bool = False
    is_test: bool = False
    """The last field stands in has()."""
    is_indexed: bool = False
    """Written with a bracket somewhere: `nodes["a"]`."""

    @property
    def path(self) -> tuple[str, ...]:
        """Root and fields."""
        return (self.root, *self.fields)


@dataclass(frozen=True, slots=True)
class ExpressionFacts:
    """Everything the validator and the evaluator want to know of an expression."""

    reads: tuple[Read, ...] = ()
    functions: frozenset[str] = field(default_factory=frozenset[str])
    has_comprehension: bool = False
    needs_rewrite: bool = False
    integer_divisions: tuple[int, ...] = ()
    """Offsets of `/` between two integers."""


REWRITTEN = frozenset({"coalesce", "now", "regex_match"})
_TYPE_NAMES = frozenset({"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"})


def facts_of(checked: Ast) -> ExpressionFacts:
    """The facts of a checked expression."""
    walk = _Walk(checked)
    walk.visit(checked.expr, frozenset(), is_coalesced=False)
    return ExpressionFacts(
        reads=tuple(walk.reads),
        functions=frozenset(walk.functions),
        has_comprehension=walk.has_comprehension,
        needs_rewrite=bool(walk.functions & REWRITTEN),
        integer_divisions=tuple(walk.divisions),
    )


def chain_of(expr: Ast) -> tuple[str, list[tuple[str, Ast]]] | None:
    """Root name and (field, its node) of a chain of selects and constant string indexes; None for anything else."""
    steps: list[tuple[str, Ast]] = []
    node = expr
    while True:
        kind = node.WhichOneof("expr_kind")
        if kind == "ident_expr":
            return node.ident_expr.name.removeprefix("."), steps[::-1]
        if kind == "select_expr":
            steps.append((node.select_expr.field, node))
            node = node.select_expr.operand
        elif kind == "call_expr" and node.call_expr.function == "_[_]":
            key = node.call_expr.args[1]
            if key.const_expr.WhichOneof("constant_kind") != "string_value":
                return None
            steps.append((key.const_expr.string_value, node))
            node = node.call_expr.args[0]
        else:
            return None


def children_of(expr: Ast) -> Iterator[Ast]:
    """The direct sub-expressions outside comprehensions."""
    kind = expr.WhichOneof("expr_kind")
    if kind == "select_expr":
        yield expr.select_expr.operand
    elif kind == "call_expr":
        if expr.call_expr.HasField("target"):
            yield expr.call_expr.target
        yield from expr.call_expr.args
    elif kind == "list_expr":
        yield from expr.list_expr.elements
    elif kind == "struct_expr":
        for entry in expr.struct_expr.entries:
            if entry.HasField("map_key"):
                yield entry.map_key
            yield entry.value


def scoped_children_of(expr: Ast, bound: frozenset[str]) -> Iterator[tuple[Ast, frozenset[str]]]:
    """The direct sub-expressions, each with the names that comprehensions bind around it."""
    if expr.WhichOneof("expr_kind") != "comprehension_expr":
        for child in children_of(expr):
            yield child, bound
        return
    loop = expr.comprehension_expr
    yield loop.iter_range, bound
    yield loop.accu_init, bound
    accumulating = bound | {loop.accu_var}
    inner = accumulating | {loop.iter_var, loop.iter_var2 or loop.iter_var}
    yield loop.loop_condition, inner
    yield loop.loop_step, inner
    yield loop.result, accumulating


class _Walk:
    def __init__(self, checked: Ast) -> None:
        self.reads: list[Read] = []
        self.functions: set[str] = set()
        self.has_comprehension = False
        self.divisions: list[int] = []
        self._positions = checked.source_info.positions
        self._references = checked.reference_map

    def visit(self, expr: Ast, bound: frozenset[str], *, is_coalesced: bool) -> None:
        chain = chain_of(expr)
        if chain is not None:
            if chain[0] not in bound and chain[0] not in _TYPE_NAMES:
                self.reads.append(self._read(expr, chain[0], chain[1], is_coalesced=is_coalesced))
            return
        kind = expr.WhichOneof("expr_kind")
        if kind == "comprehension_expr":
            self.has_comprehension = True
        if kind == "call_expr":
            self.functions.add(expr.call_expr.function)
            self._note_division(expr)
            is_coalesced = is_coalesced or expr.call_expr.function == "coalesce"
        for child, names in scoped_children_of(expr, bound):
            self.visit(child, names, is_coalesced=is_coalesced)

    def _read(self, expr: Ast, root: str, steps: Iterable[tuple[str, Ast]], *, is_coalesced: bool) -> Read:
        steps = list(steps)
        leftmost = expr
        while leftmost.WhichOneof("expr_kind") != "ident_expr":
            is_select = leftmost.WhichOneof("expr_kind") == "select_expr"
            leftmost = leftmost.select_expr.operand if is_select else leftmost.call_expr.args[0]
        return Read(
            root=root,
            fields=tuple(name for name, _ in steps),
            offset=self._positions.get(leftmost.id, 0),
            field_offsets=tuple(self._positions.get(node.id, 0) + 1 for _, node in steps),
            is_coalesced=is_coalesced,
            is_test=expr.WhichOneof("expr_kind") == "select_expr" and expr.select_expr.test_only,
            is_indexed=any(node.WhichOneof("expr_kind") == "call_expr" for _, node in steps),
        )

    def _note_division(self, expr: Ast) -> None:
        if expr.call_expr.function == "_/_" and list(self._references[expr.id].overload_id) == ["divide_int64"]:
            self.divisions.append(self._positions.get(expr.id, 0))
