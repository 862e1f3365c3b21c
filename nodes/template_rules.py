"""Which Jinja constructs prompts and templates may use, and how they are put under the renderer's limits.

Allowed: variables, `if`, `for`, `set`, filters, tests, arithmetic, literals. Not allowed: macros, imports, includes,
inheritance, recursive loops, block `set`, calls of anything but a few harmless methods.
"""

from collections.abc import Iterator
from typing import cast

from jinja2 import nodes as ast

LOOP_FILTER = "_loop"
MADE_FILTER = "_made"
CONCAT_FILTER = "_concat"
INTERNAL_FILTERS = frozenset({LOOP_FILTER, MADE_FILTER, CONCAT_FILTER})

ALLOWED: tuple[type[ast.Node], ...] = (
    ast.Template, ast.Output, ast.TemplateData, ast.Name, ast.Getattr, ast.Getitem, ast.Slice, ast.Const, ast.If,
    ast.For, ast.Assign, ast.Filter, ast.Test, ast.Compare, ast.Operand, ast.And, ast.Or, ast.Not, ast.CondExpr,
    ast.List, ast.Tuple, ast.Dict, ast.Pair, ast.Keyword, ast.Add, ast.Sub, ast.Mul, ast.Div, ast.FloorDiv, ast.Mod,
    ast.Neg, ast.Pos, ast.Concat, ast.Call,
)  # fmt: skip

TEXT_METHODS = frozenset(
    {"lower", "upper", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "splitlines", "startswith",
     "endswith", "count", "find", "isdigit", "isalpha"}
)  # fmt: skip
MAP_METHODS = frozenset({"items", "keys", "values", "get"})
LIST_METHODS = frozenset({"index", "count"})
LOOP_METHODS = frozenset({"cycle", "changed"})
METHODS = TEXT_METHODS | MAP_METHODS | LIST_METHODS | LOOP_METHODS
FUNCTIONS = frozenset({"range"})


def refusals(tree: ast.Template) -> Iterator[tuple[int, str]]:
    """Line and text of everything in the template that is not allowed."""
    for node in _walk(tree):
        refusal = _refusal(node)
        if refusal:
            yield node.lineno or 0, refusal


def bounded(node: ast.Node) -> ast.Node:
    """The same template with loops, literals and joined texts passed through the renderer's counting filters."""
    for field in node.fields:
        value = getattr(node, field)
        if isinstance(value, ast.Node):
            setattr(node, field, bounded(value))
        elif isinstance(value, list):
            parts = cast("list[object]", value)
            setattr(node, field, [bounded(part) if isinstance(part, ast.Node) else part for part in parts])
    if isinstance(node, ast.For):
        node.iter = cast("ast.Node", _filtered(node.iter, LOOP_FILTER))
    elif isinstance(node, ast.Concat):
        return _filtered(ast.List(node.nodes, lineno=node.lineno), CONCAT_FILTER)
    elif isinstance(node, ast.Tuple):
        return _filtered(node, MADE_FILTER) if node.ctx == "load" else node
    elif isinstance(node, ast.List | ast.Dict):
        return _filtered(node, MADE_FILTER)
    return node


def _walk(node: ast.Node) -> Iterator[ast.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _refusal(node: ast.Node) -> str | None:
    if not isinstance(node, ALLOWED):
        return f"{_spoken(node)} is not allowed in prompts and templates"
    if isinstance(node, ast.For) and node.recursive:
        return "a recursive loop is not allowed in prompts and templates"
    if isinstance(node, ast.Filter) and node.node is None:
        return "a filter block is not allowed in prompts and templates"
    if isinstance(node, ast.Name) and node.name == "self":
        return "`self` is not a name in prompts and templates"
    return _call_refusal(node) if isinstance(node, ast.Call) else None


def _call_refusal(node: ast.Call) -> str | None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return "calls with * or ** are not allowed in prompts and templates"
    called = node.node
    if isinstance(called, ast.Name) and called.name in FUNCTIONS:
        return None
    if isinstance(called, ast.Getattr) and called.attr in METHODS:
        return None
    name = called.attr if isinstance(called, ast.Getattr) else called.name if isinstance(called, ast.Name) else "this"
    return (
        f"{name}() cannot be called here; there are filters (`|`) and the functions range, {', '.join(sorted(METHODS))}"
    )


def _spoken(node: ast.Node) -> str:
    names = {"AssignBlock": "block set", "NSRef": "a namespace", "Pow": "the operator **"}
    return names.get(type(node).__name__, f"`{type(node).__name__.lower()}`")


def _filtered(node: ast.Node, name: str) -> ast.Filter:
    return ast.Filter(cast("ast.Expr", node), name, [], [], None, None, lineno=node.lineno)
