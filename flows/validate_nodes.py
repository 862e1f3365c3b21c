"""Checks of single steps against the world: model names, template variables, switches, bodies, joins."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from bridge.json_types import JsonObject
from flows.diagnostics import Diagnostics
from flows.expressions_text import has_expression
from flows.graph import Graph
from flows.plan import Position
from flows.schema_reader import SchemaReader
from flows.spec import BlockSpec, NameUse, StepSpec
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, scalars_of
from nodes.node import ModelUse
from nodes.template_text import TemplateCheck, check_template


class ModelNames(Protocol):
    """What validation must know of models; implemented over the bridge."""

    def knows(self, name: str) -> bool:
        """Is it an alias, or a model of the catalogue?"""
        ...

    def suggest(self, name: str) -> str | None:
        """The nearest known name."""
        ...

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        """An upper bound of the cost of all `use.calls` calls, every try of the bridge included; None if unknown."""
        ...

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        """What they will likely cost; None if unknown."""
        ...


def check_models(step: StepSpec, catalog: ModelNames, problems: Diagnostics) -> None:
    """Report names that are neither alias nor model. Expressions are known at run time only."""
    if step.node_class is None or step.config_node is None:
        return
    for field in step.node_class.model_fields_of_use:
        node = step.config_node.get(field)
        for scalar in _model_names(node):
            if not has_expression(scalar.text) and scalar.text and not catalog.knows(scalar.text):
                near = catalog.suggest(scalar.text)
                hint = f"did you mean `{near}`?" if near else "`modelbridge models` lists the names"
                message = f"unknown model or alias `{scalar.text}`"
                problems.error(scalar, "unknown_model", message, hint)


def _model_names(node: YamlNode | None) -> Iterator[ScalarNode]:
    """Names in a field: a text, a list, or the candidates of an inline policy."""
    if isinstance(node, MapNode):
        for key in ("candidates", "fallback"):
            yield from _model_names(node.get(key))
    elif node is not None:
        yield from (scalar for _, scalar in scalars_of(node))


def check_templates(step: StepSpec, problems: Diagnostics) -> None:
    """Report names that a literal template reads and `vars` lacks, and what templates may not contain."""
    if step.node_class is None or step.config_node is None:
        return
    variables = step.config_node.get("vars")
    is_open = variables is not None and not isinstance(variables, MapNode)
    declared = list(variables.entries) if isinstance(variables, MapNode) else []
    for path, scalar in scalars_of(step.config_node):
        if path[0] not in step.node_class.template_fields or has_expression(scalar.text):
            continue
        if "{" not in scalar.text:
            continue
        check = _checked_template(scalar.text)
        for line, problem in check.problems:
            problems.error(_line_start(scalar, line), "template_syntax", problem)
        for name, line in () if is_open else check.undeclared(declared).items():
            hint = did_you_mean(name, declared) or f"add `{name}` to `vars`"
            at = _name_place(scalar, name, line)
            problems.error(at, "undefined_variable", f"the template reads `{name}`, which is not in `vars`", hint)


@lru_cache(maxsize=2048)
def _checked_template(text: str) -> TemplateCheck:
    return check_template(text)


def _line_start(scalar: ScalarNode, line: int) -> Position:
    """Where the text of a template line starts in the document."""
    lines = scalar.text.split("\n")
    index = min(max(line, 1), len(lines)) - 1
    indent = len(lines[index]) - len(lines[index].lstrip())
    return scalar.position_of(sum(len(text) + 1 for text in lines[:index]) + indent)


def _name_place(scalar: ScalarNode, name: str, line: int) -> Position:
    start = sum(len(text) + 1 for text in scalar.text.split("\n")[: max(line, 1) - 1])
    for mark in re.finditer(r"\{[{%].*?[%}]\}", scalar.text[start:], re.DOTALL):
        found = re.search(rf"(?<![\w.]){re.escape(name)}\b", mark[0])
        if found:
            return scalar.position_of(start + mark.start() + found.start())
    return _line_start(scalar, line)


def read_switch(step: StepSpec) -> None:
    """Note the steps a switch names."""
    if step.kind != "switch" or step.config_node is None:
        return
    cases = step.config_node.get("cases")
    named: list[NameUse] = []
    for case in cases.items if isinstance(cases, ListNode) else ():
        if isinstance(case, MapNode):
            named += _names(case.get("then"))
    step.chooses = (*named, *_names(step.config_node.get("default")))


def _names(node: YamlNode | None) -> list[NameUse]:
    items: Sequence[YamlNode] = node.items if isinstance(node, ListNode) else [node] if node is not None else []
    return [NameUse(item.text, item) for item in items if isinstance(item, ScalarNode) and not item.is_null]


def check_body(body: BlockSpec, step: StepSpec, graph: Graph, problems: Diagnostics) -> None:
    """A body has exactly one final step."""
    if not body.steps or graph.cyclic & body.steps.keys() or len(body.finals) == 1:
        return
    finals = [name for name in body.steps if name in body.finals]
    message = f"the body of `{step.id}` ends in {len(finals)} steps: {', '.join(finals)}; exactly one may be last"
    problems.error(body.key or step.key, "bad_body", message, "let one step read or need the others")


def check_join(step: StepSpec, graph: Graph, problems: Diagnostics) -> None:
    """A join that waits for some of many needs many."""
    awaited = [d for d in graph.dependencies(step.id) if d.reads in {"needs", "output"}]
    node = step.node.get("join")
    if step.join in {"any_succeeded", "first"} and node is not None and len(awaited) < 2:
        message = f"`join: {step.join}` needs at least two steps to wait for, there {_are(len(awaited))}"
        problems.error(node, "bad_join", message, "name them in `needs`")


def check_waiting(step: StepSpec, problems: Diagnostics) -> None:
    """on_failure and finally end a run: nothing in them can be waited for."""
    if step.node_class is not None and step.node_class.can_wait and step.section != "main":
        at = step.node.get("type") or step.key
        message = f"a `{step.kind}` step cannot stand in `{step.section}`: the run is about to end"
        problems.error(at, "not_allowed_here", message, "wait in the flow itself")


def _are(count: int) -> str:
    return "is 1" if count == 1 else "are none"


def check_item_names(step: StepSpec, outer_names: Mapping[str, object], problems: Diagnostics) -> None:
    """`as` may not hide an item name of a body around."""
    if step.foreach is None or step.foreach_node is None or step.foreach.is_matrix:
        return
    node = step.foreach_node.get("as")
    if node is not None and step.foreach.name in outer_names and step.foreach.name != "item":
        message = f"`as: {step.foreach.name}` hides the name of a foreach around it"
        problems.error(node, "reserved_name", message, "choose another name")


def check_defaults(step: StepSpec, output: JsonObject, problems: Diagnostics) -> None:
    """A default of on_error is the whole output: fields it lacks become null, others must be the output's."""
    if step.foreach is not None or step.node_class is None:
        return
    relaxed = {name: part for name, part in output.items() if name != "required"}
    node = step.node.get("on_error")
    for entry in node.items if isinstance(node, ListNode) else [node]:
        default = entry.get("default") if isinstance(entry, MapNode) else None
        if default is not None:
            reader = SchemaReader(problems, output, are_expressions_allowed=True, what=f"output field of {step.kind}")
            reader.read(default, relaxed)


def is_never(step: StepSpec) -> bool:
    """Whether the step's `when` is the literal false."""
    return step.when is not None and step.when.strip() in {"false", "${{ false }}"}
