"""Jinja text of prompts and `template` nodes: checked before a run, rendered in a sandbox within limits.

A value is written as it stands when it is text, else as compact JSON. What a variable inserts is never rendered
again. A name that is not in `vars` is an error.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2 import nodes as ast
from jinja2.meta import find_undeclared_variables

from bridge.json_types import JsonObject
from nodes import template_rules
from nodes.errors import NodeError
from nodes.template_budget import MAX_OUTPUT_CHARS, Budget, TemplateLimitError, current
from nodes.template_sandbox import TemplateSandbox

MAX_TEMPLATE_CHARS = 256 * 1024


class TemplateTextError(NodeError):
    """The text is no template we accept, names something unknown, or goes beyond the limits. `line` is 0 if unknown."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message, error_class="validation")
        self.problem = message
        self.line = line


@dataclass(frozen=True, slots=True)
class TemplateCheck:
    """What can be known of a template without values."""

    names: Mapping[str, int]
    """Names it reads from `vars`, with the line of the first use (from 1). Empty where there are problems."""
    problems: tuple[tuple[int, str], ...] = ()
    """Line and text of everything that would be refused."""

    def undeclared(self, declared: Sequence[str]) -> Mapping[str, int]:
        """The names that are not among the declared ones."""
        return {name: line for name, line in self.names.items() if name not in declared}


def check_template(text: str) -> TemplateCheck:
    """Syntax, refused constructs and the names a template reads."""
    try:
        tree = _parse(text)
    except TemplateTextError as error:
        return TemplateCheck(names={}, problems=((error.line, error.problem),))
    problems = [*template_rules.refusals(tree), *_unknown_filters(tree)]
    undeclared = frozenset[str]() if problems else find_undeclared_variables(tree) - template_rules.FUNCTIONS
    names: dict[str, int] = {}
    for node in tree.find_all(ast.Name):
        if node.ctx == "load" and node.name in undeclared:
            names.setdefault(node.name, node.lineno)
    return TemplateCheck(names=names, problems=tuple(sorted(problems)))


def undeclared_names(text: str, declared: Sequence[str] = ()) -> Mapping[str, int]:
    """Names that the template reads and `declared` lacks, with the line of the first use."""
    return check_template(text).undeclared(declared)


def render_template(text: str, variables: JsonObject) -> str:
    """The text with `variables` put in.

    Raises:
        TemplateTextError: Wrong syntax, a refused construct, an unknown name, or a limit is exceeded.
    """
    template = _compiled(text)
    token = current.set(Budget())
    try:
        return _collected(template, variables)
    except (TemplateLimitError, TemplateError) as error:
        raise TemplateTextError(str(error)) from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, AttributeError) as error:
        raise TemplateTextError(f"{type(error).__name__}: {error}") from error
    finally:
        current.reset(token)


async def render_off_loop(text: str, variables: JsonObject) -> str:
    """`render_template`; a template with loops or conditions is rendered in a thread. Raises TemplateTextError."""
    if "{%" in text:
        return await asyncio.to_thread(render_template, text, variables)
    return render_template(text, variables)


def _collected(template: Template, variables: JsonObject) -> str:
    pieces: list[str] = []
    size = 0
    for piece in template.generate(dict(variables)):
        size += len(piece)
        if size > MAX_OUTPUT_CHARS:
            raise TemplateLimitError(f"the text grows beyond {MAX_OUTPUT_CHARS} characters")
        pieces.append(piece)
    return "".join(pieces)


@cache
def _sandbox() -> TemplateSandbox:
    return TemplateSandbox()


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    check = check_template(text)
    if check.problems:
        line, problem = check.problems[0]
        raise TemplateTextError(problem, line=line)
    sandbox = _sandbox()
    tree = cast("ast.Template", template_rules.bounded(_parse(text)))
    return Template.from_code(sandbox, sandbox.compile(tree), sandbox.make_globals(None))


def _parse(text: str) -> ast.Template:
    if len(text) > MAX_TEMPLATE_CHARS:
        raise TemplateTextError(f"a template has at most {MAX_TEMPLATE_CHARS} characters")
    try:
        return _sandbox().parse(text)
    except TemplateSyntaxError as error:
        raise TemplateTextError(error.message or "wrong syntax", line=error.lineno) from error
    except RecursionError as error:
        raise TemplateTextError("the template is nested too deeply") from error


def _unknown_filters(tree: ast.Template) -> list[tuple[int, str]]:
    sandbox = _sandbox()
    found: list[tuple[int, str]] = []
    for node in tree.find_all((ast.Filter, ast.Test)):
        is_filter = isinstance(node, ast.Filter)
        known = sandbox.filters if is_filter else sandbox.tests
        if node.name not in known or node.name in template_rules.INTERNAL_FILTERS:
            kind = "filter" if is_filter else "test"
            listed = ", ".join(sorted(set(known) - template_rules.INTERNAL_FILTERS))
            found.append((node.lineno, f"unknown {kind} {node.name!r}; there are: {listed}"))
    return found
