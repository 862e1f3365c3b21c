"""Compiles expressions, remembers them, and turns the engine's findings into facts.

Roots are declared without types here: this is the form that runs. Types are checked by `expressions_types`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cel_expr_python import cel

from flows.errors import ExpressionSyntaxError, Finding
from flows.expressions_ast import read_ast, write_ast
from flows.expressions_facts import ExpressionFacts, Read, facts_of
from flows.expressions_functions import run_functions
from flows.expressions_rewrite import rewrite

MAX_EXPRESSION_CHARS = 4096
MAX_NESTING = 100
ROOTS = frozenset(
    {"inputs", "nodes", "run", "tenant", "item", "index", "state", "error", "errors", "body", "headers", "secrets"}
)
CEL_WORDS = frozenset(
    {
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
        "namespace", "null", "package", "return", "true", "var", "void", "while",
    }
)  # fmt: skip

_CHAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_ERROR_LINE = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*)$")


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """An expression ready to run. `program` is None for a plain chain of fields, which needs no engine."""

    text: str
    facts: ExpressionFacts
    program: cel.Expression | None = None
    presence: Mapping[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])


@lru_cache(maxsize=4096)
def compile_expression(text: str, names: frozenset[str] = ROOTS) -> CompiledExpression:
    """Compile `text` (without `${{ }}`) over the variables `names`. Raises ExpressionSyntaxError with all findings."""
    refuse_oversize(text)
    read = plain_chain(text)
    if read is not None and read.root in names:
        return CompiledExpression(text, ExpressionFacts(reads=(read,)))
    env = _environment(names)
    try:
        compiled = env.compile(text)
    except RuntimeError as error:
        raise ExpressionSyntaxError(text, findings_of(text, str(error))) from error
    checked = read_ast(compiled.serialize())
    facts = facts_of(checked)
    if not facts.needs_rewrite:
        return CompiledExpression(text, facts, compiled)
    rewritten = rewrite(checked)
    return CompiledExpression(text, facts, env.deserialize(write_ast(rewritten.checked)), rewritten.presence)


def plain_chain(text: str) -> Read | None:
    """`a.b.c` as a read, without compiling; None when `text` is anything else."""
    stripped = text.strip()
    if not _CHAIN.fullmatch(stripped):
        return None
    parts = stripped.split(".")
    if not CEL_WORDS.isdisjoint(parts):
        return None
    offset = len(text) - len(text.lstrip())
    offsets: list[int] = []
    at = offset
    for part in parts:
        offsets.append(at)
        at += len(part) + 1
    return Read(parts[0], tuple(parts[1:]), offset, tuple(offsets[1:]))


def refuse_oversize(text: str) -> None:
    """Raises ExpressionSyntaxError for text that is too long, nests too deep or holds what the engine cannot carry."""
    problem = ""
    if len(text) > MAX_EXPRESSION_CHARS:
        problem = f"the expression is longer than {MAX_EXPRESSION_CHARS} characters"
    elif not text.strip():
        problem = "the expression is empty"
    elif "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        problem = "the expression holds a character that cannot be used here (NUL or half of a surrogate pair)"
    elif sum(text.count(c) for c in "([{") > MAX_NESTING * 4 or _depth(text) > MAX_NESTING:
        problem = "the expression nests too deeply"
    if problem:
        raise ExpressionSyntaxError(text, (Finding("expression_syntax", problem, 0),))


def findings_of(text: str, message: str) -> tuple[Finding, ...]:
    """The engine's `ERROR: <input>:LINE:COL: text` lines as findings at code point offsets."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    findings: list[Finding] = []
    for line in message.splitlines():
        match = _ERROR_LINE.match(line)
        if match:
            row, column, what = int(match[1]), int(match[2]), match[3].removesuffix(" [INVALID_ARGUMENT]")
            offset = min(starts[min(row, len(starts)) - 1] + column - 1, len(text))
            findings.append(classify(text, what, offset))
    return tuple(findings) or (Finding("expression_syntax", message.split("\n", maxsplit=1)[0], 0),)


def classify(text: str, what: str, offset: int) -> Finding:
    """A finding with our code and words for one engine message."""
    if match := re.match(r"undeclared reference to '([^']+)'", what):
        return _undeclared(text, match[1], offset)
    if match := re.match(r"found no matching overload for '([^']+)' applied to '(.*)'$", what):
        types = tuple(re.sub(r"^\((.*)\)$", r"\1", match[2]).split(", "))
        start = text.rfind(match[1], 0, offset) if match[1].isidentifier() else offset
        return Finding("expression_type", overload_text(match[1], match[2]), max(start, 0), match[1], types)
    if match := re.match(r"undefined field '([^']+)'", what):
        return Finding("unknown_field", f"there is no field `{match[1]}` here", offset + 1, name=match[1])
    if what.startswith(("Syntax error", "unsupported syntax")):
        return Finding("expression_syntax", _syntax_text(what), offset)
    return Finding("expression_type", what, offset)


def _syntax_text(what: str) -> str:
    """The parser's message without the list of all it would have taken."""
    if what.startswith("unsupported"):
        return f"{what}; use has() or coalesce()"
    found = re.search(r"(?:mismatched|extraneous) input '(.*?)' expecting|no viable alternative at input '(.*)'", what)
    if found is None:
        return what[0].lower() + what[1:]
    unexpected = found[1] or found[2]
    return "the expression ends too early" if unexpected == "<EOF>" else f"`{unexpected}` is not expected here"


def _undeclared(text: str, name: str, offset: int) -> Finding:
    if re.match(r"\s*\(", text[offset:]) and "." not in name:
        start = max(text.rfind(name, 0, offset + 1), 0)
        return Finding("unknown_function", f"unknown function `{name}`", start, name=name)
    root = name.split(".", maxsplit=1)[0]
    start = max(text.rfind(root, 0, offset + len(root)), 0)
    return Finding("unknown_name", f"unknown name `{root}`", start, name=root)


_OPERATORS = {
    "_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=",
    "_==_": "==", "_!=_": "!=", "_&&_": "&&", "_||_": "||", "!_": "!", "-_": "-", "@in": "in", "_[_]": "[ ]",
    "_?_:_": "? :",
}  # fmt: skip


def overload_text(function: str, types: str) -> str:
    """Plain words for an operator or function that does not take these types."""
    readable = re.sub(r"\bmb\.T\d+\b", "map", re.sub(r"wrapper\(([a-z]+)\)", r"\1", types)).strip("()")
    operator = _OPERATORS.get(function)
    text = f"`{operator}` does not take ({readable})" if operator else f"`{function}()` does not take ({readable})"
    if operator in {"+", "-", "*", "/"} and {"int", "double"} == {part.strip() for part in readable.split(",")}:
        text += "; integers and decimals do not mix in arithmetic: write `2.0` for `2`, or convert with double()"
    elif operator == "+" and "string" in readable:
        text += "; wrap the other side in text()"
    return text


def _depth(text: str) -> int:
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


@lru_cache(maxsize=64)
def _environment(names: frozenset[str]) -> cel.Env:
    variables = dict.fromkeys(sorted(names), cel.Type.DYN)
    return cel.NewEnv(variables=variables, functions=list(run_functions()))
