"""Turns `coalesce`, `now` and `regex_match` into plain CEL, in the syntax tree.

`coalesce(a, b)` becomes a chain of conditionals, so that only what is needed is evaluated. Whether a chain of fields is
there is not asked of CEL (it stops with an error at a null in the middle): each chain gets a boolean variable
`@present_N` that the evaluator fills. Chains over names that a comprehension binds are tested with has() in place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flows.expressions_ast import Ast
from flows.expressions_facts import chain_of, scoped_children_of

NOW_FIELD = ("run", "started_at")


@dataclass(slots=True)
class Rewritten:
    """The changed tree and the presence variables it reads, by path."""

    checked: Ast
    presence: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])


def rewrite(checked: Ast) -> Rewritten:
    """Rewrite `checked` in place."""
    result = Rewritten(checked)
    _Rewriter(result).walk(checked.expr, frozenset())
    return result


class _Rewriter:
    def __init__(self, result: Rewritten) -> None:
        self._result = result
        self._next_id = max(result.checked.source_info.positions, default=0) + 1
        self._new = type(result.checked.expr)
        self._temporaries = 0

    def walk(self, expr: Ast, bound: frozenset[str]) -> None:
        """Children first: an inner coalesce is plain by the time the outer one is rewritten."""
        guards = self._guards(expr, bound) if _is_call(expr, "coalesce") else []
        for child, names in list(scoped_children_of(expr, bound)):
            self.walk(child, names)
        if not _is_call(expr, "coalesce", "now", "regex_match"):
            return
        self._result.checked.reference_map.pop(expr.id, None)
        function = expr.call_expr.function
        if function == "regex_match":
            expr.call_expr.function = "matches"
        elif function == "now":
            expr.CopyFrom(self._call("timestamp", self._chain(*NOW_FIELD)))
        else:
            expr.CopyFrom(self._coalesce(list(expr.call_expr.args), guards))

    def _guards(self, expr: Ast, bound: frozenset[str]) -> list[list[Ast]]:
        """For each argument: the conditions under which all chains it reads are there."""
        return [[self._guard(chain, bound) for chain in _chains(argument, bound)] for argument in expr.call_expr.args]

    def _guard(self, chain: Ast, bound: frozenset[str]) -> Ast:
        root, steps = chain_of(chain) or ("", [])
        if root not in bound:
            path = (root, *(name for name, _ in steps))
            name = self._result.presence.setdefault(path, f"@present_{len(self._result.presence)}")
            return self._ident(name)
        conditions = [self._call("_!=_", self._ident(root), self._null())]
        prefix = self._ident(root)
        for name, _ in steps:
            test = self._select(prefix, name)
            test.select_expr.test_only = True
            prefix = self._select(prefix, name)
            conditions += [test, self._call("_!=_", prefix, self._null())]
        return self._all(conditions)

    def _coalesce(self, arguments: list[Ast], guards: list[list[Ast]]) -> Ast:
        result = self._null()
        for argument, conditions in zip(reversed(arguments), reversed(guards), strict=True):
            is_chain = chain_of(argument) is not None
            if is_chain:
                result = self._call("_?_:_", self._all(conditions), argument, result)
            elif argument.WhichOneof("expr_kind") == "const_expr":
                is_null = argument.const_expr.WhichOneof("constant_kind") == "null_value"
                result = result if is_null else argument
            else:
                value = self._call("_?_:_", self._all(conditions), argument, self._null()) if conditions else argument
                result = self._let(value, result)
        return result

    def _let(self, value: Ast, otherwise: Ast) -> Ast:
        """`value` when it is not null, else `otherwise`; `value` is evaluated once (a loop over nothing binds it)."""
        self._temporaries += 1
        name = f"@value_{self._temporaries}"
        expr = self._fresh()
        loop = expr.comprehension_expr
        loop.iter_var = "@unused"
        loop.iter_range.CopyFrom(self._fresh())
        loop.iter_range.list_expr.SetInParent()
        loop.accu_var = name
        loop.accu_init.CopyFrom(value)
        loop.loop_condition.CopyFrom(self._fresh())
        loop.loop_condition.const_expr.bool_value = False
        loop.loop_step.CopyFrom(self._ident(name))
        is_there = self._call("_!=_", self._ident(name), self._null())
        loop.result.CopyFrom(self._call("_?_:_", is_there, self._ident(name), otherwise))
        return expr

    def _all(self, conditions: list[Ast]) -> Ast:
        result = conditions[0]
        for condition in conditions[1:]:
            result = self._call("_?_:_", result, condition, self._false())
        return result

    def _chain(self, root: str, *fields: str) -> Ast:
        expr = self._ident(root)
        for name in fields:
            expr = self._select(expr, name)
        return expr

    def _fresh(self) -> Ast:
        expr = self._new(id=self._next_id)
        self._next_id += 1
        return expr

    def _ident(self, name: str) -> Ast:
        expr = self._fresh()
        expr.ident_expr.name = name
        return expr

    def _select(self, operand: Ast, name: str) -> Ast:
        expr = self._fresh()
        expr.select_expr.operand.CopyFrom(operand)
        expr.select_expr.field = name
        return expr

    def _call(self, function: str, *arguments: Ast) -> Ast:
        expr = self._fresh()
        expr.call_expr.function = function
        for argument in arguments:
            expr.call_expr.args.add().CopyFrom(argument)
        return expr

    def _null(self) -> Ast:
        expr = self._fresh()
        expr.const_expr.null_value = 0
        return expr

    def _false(self) -> Ast:
        expr = self._fresh()
        expr.const_expr.bool_value = False
        return expr


def _is_call(expr: Ast, *functions: str) -> bool:
    return expr.WhichOneof("expr_kind") == "call_expr" and expr.call_expr.function in functions


def _chains(expr: Ast, bound: frozenset[str]) -> Iterator[Ast]:
    """The chains that decide whether an argument is there: not those inside has() or an inner coalesce.

    Chains over names bound inside the argument itself are left to the engine.
    """
    chain = chain_of(expr)
    if chain is not None:
        if not (expr.WhichOneof("expr_kind") == "select_expr" and expr.select_expr.test_only):
            yield expr
        return
    if _is_call(expr, "coalesce", "_?_:_", "_&&_", "_||_"):
        return
    for child, names in scoped_children_of(expr, bound):
        inner = names - bound
        for found in _chains(child, bound):
            root = (chain_of(found) or ("", []))[0]
            if root not in inner:
                yield found
