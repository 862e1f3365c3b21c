"""Where the expressions of a document stand, and what each may read there."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.json_types import JsonObject
from flows.diagnostics import Diagnostics
from flows.expressions_facts import ExpressionFacts
from flows.expressions_text import Embedded, UnclosedExpressionError, has_expression, sole_expression, split_text
from flows.node_schemas import config_schema, properties_of, schema_at
from flows.plan import Position
from flows.spec import FlowSpec, StepSpec
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, scalars_of

CONCURRENCY_KEY = "concurrency.key"
BASE_ROOTS = frozenset({"inputs", "nodes", "run", "tenant"})


@dataclass(slots=True)
class Use:
    """One expression. `offset` is where its text starts in the scalar's text."""

    text: str
    scalar: ScalarNode
    offset: int
    where: str
    """The field, for people: `with.prompt`."""
    step: StepSpec | None
    """None for the outputs of the flow and the key of its concurrency."""
    extra_names: frozenset[str] = frozenset()
    """Names beyond the roots that exist in this field: those of the node itself, `output` in retry.when."""
    is_per_item: bool = True
    """Whether the `item` of the step's own foreach exists here."""
    is_sole: bool = False
    """The field is exactly this expression, so that its type is the field's."""
    path: tuple[str, ...] = ()
    """Below `with`, for fields of the block."""
    facts: ExpressionFacts | None = None
    """Filled when it compiles."""

    def place(self, offset: int = 0) -> Position:
        """The position of a character of the expression."""
        return self.scalar.position_of(self.offset + offset)

    @property
    def start(self) -> Position:
        """The position of its first visible character."""
        return self.place(len(self.text) - len(self.text.lstrip()))


def uses_of(spec: FlowSpec, problems: Diagnostics) -> list[Use]:
    """Every expression of the document, in no particular order. Unclosed ones are reported."""
    collector = _Collector(problems)
    for step in spec.walk():
        collector.step(step)
    if spec.outputs_node is not None:
        collector.fields(spec.outputs_node, "outputs", None)
    concurrency = spec.root.get("concurrency")
    if isinstance(concurrency, MapNode) and (key := concurrency.get("key")) is not None:
        collector.fields(key, CONCURRENCY_KEY, None)
    return collector.uses


class _Collector:
    def __init__(self, problems: Diagnostics) -> None:
        self.uses: list[Use] = []
        self._problems = problems

    def step(self, step: StepSpec) -> None:
        node = step.node
        self._condition(node.get("when"), "when", step, is_per_item=False)
        retry, cache = node.get("retry"), node.get("cache")
        if isinstance(retry, MapNode):
            self._condition(retry.get("when"), "retry.when", step, frozenset({"output", "error"}))
        if isinstance(cache, MapNode) and isinstance(key := cache.get("key"), ScalarNode):
            self.scalar(key, "cache.key", step)
        self._repetition(step)
        for entry in _entries(node.get("on_error")):
            if isinstance(entry, MapNode) and (default := entry.get("default")) is not None:
                self.fields(default, "on_error.default", step, is_per_item=False)
        self._config(step)
        self._unit(step)

    def _unit(self, step: StepSpec) -> None:
        experiment = step.node.get("experiment")
        unit = experiment.get("unit") if isinstance(experiment, MapNode) else None
        if unit is not None:
            self.fields(unit, "experiment.unit", step)

    def fields(self, node: YamlNode, where: str, step: StepSpec | None, *, is_per_item: bool = True) -> None:
        """All texts below `node`, as texts with embedded expressions."""
        for path, scalar in scalars_of(node):
            self.scalar(scalar, ".".join((where, *path)), step, is_per_item=is_per_item)

    def scalar(
        self,
        scalar: ScalarNode,
        where: str,
        step: StepSpec | None,
        *,
        path: tuple[str, ...] = (),
        is_per_item: bool = True,
    ) -> None:
        """One text with embedded expressions."""
        if "${{" not in scalar.text:
            return
        try:
            parts = split_text(scalar.text)
            is_sole = sole_expression(scalar.text) is not None
        except UnclosedExpressionError as error:
            self._problems.error(
                scalar.position_of(error.offset), "expression_syntax", str(error), "close it with `}}`"
            )
            return
        for part in parts:
            if isinstance(part, Embedded):
                use = Use(part.expression, scalar, part.offset, where, step, is_per_item=is_per_item)
                use.is_sole, use.path = is_sole, path
                self.uses.append(use)

    def bare(self, scalar: ScalarNode, where: str, step: StepSpec, names: frozenset[str] = frozenset()) -> Use | None:
        """A field that is an expression, whether in `${{ }}` or not."""
        before = len(self.uses)
        if has_expression(scalar.text):
            self.scalar(scalar, where, step)
        elif isinstance(scalar.value, str) or scalar.style:
            self.uses.append(Use(scalar.text, scalar, 0, where, step))
        for use in self.uses[before:]:
            use.extra_names, use.is_sole = names, True
        return self.uses[-1] if len(self.uses) > before else None

    def _condition(
        self,
        node: YamlNode | None,
        where: str,
        step: StepSpec,
        names: frozenset[str] = frozenset(),
        *,
        is_per_item: bool = True,
    ) -> None:
        if isinstance(node, ScalarNode) and node.boolean is None:
            use = self.bare(node, where, step, names)
            if use is not None:
                use.is_per_item = is_per_item

    def _repetition(self, step: StepSpec) -> None:
        if step.foreach is None or step.foreach_node is None:
            return
        if step.foreach.is_matrix:
            self.fields(step.foreach_node, "matrix", step, is_per_item=False)
        elif (items := step.foreach_node.get("items")) is not None:
            self.fields(items, "with.items" if step.kind == "foreach" else "foreach.items", step, is_per_item=False)

    def _config(self, step: StepSpec) -> None:
        if step.config_node is None or step.kind == "foreach":
            return
        if step.kind == "loop":
            self._loop(step, step.config_node)
            return
        cls = step.node_class
        late = cls.late_fields if cls else frozenset[str]()
        templates = cls.template_fields if cls else frozenset[str]()
        code = cls.code_fields if cls else frozenset[str]()
        for path, scalar in scalars_of(step.config_node):
            where = ".".join(("with", *path))
            if step.kind == "switch":
                if path[0] == "cases" and path[-1] == "if" and scalar.boolean is None:
                    self.bare(scalar, where, step)
            elif path[0] in templates:
                self._refuse_in_template(scalar)
            elif path[0] in code:
                self._refuse_in_code(scalar)
            elif path[0] in late:
                self._late(scalar, where, step, path)
            else:
                self.scalar(scalar, where, step, path=path)

    def _late(self, scalar: ScalarNode, where: str, step: StepSpec, path: tuple[str, ...]) -> None:
        """An expression that the node evaluates itself, for each of its items."""
        assert step.node_class is not None
        if not _is_expression_field(config_schema(step.node_class), path):
            return
        use = self.bare(scalar, where, step, _own_names(step))
        if use is not None:
            use.path = path

    def _loop(self, step: StepSpec, config: MapNode) -> None:
        for name in ("state", "max"):
            if (node := config.get(name)) is not None:
                for path, scalar in scalars_of(node):
                    self.scalar(scalar, ".".join(("with", name, *path)), step, path=(name, *path))
        self._condition(config.get("until"), "with.until", step, frozenset({"state"}))

    def _refuse_in_template(self, scalar: ScalarNode) -> None:
        if has_expression(scalar.text):
            at = scalar.position_of(scalar.text.index("${{"))
            hint = "put the value into `vars` and write {{ name }}"
            self._problems.error(at, "expression_in_template", "expressions are not allowed in templates", hint)

    def _refuse_in_code(self, scalar: ScalarNode) -> None:
        if has_expression(scalar.text):
            at = scalar.position_of(scalar.text.index("${{"))
            hint = "pass the value as data: in `inputs` of python, in `params` of sql"
            self._problems.error(at, "expression_in_code", "expressions are not allowed in code and SQL", hint)


def _own_names(step: StepSpec) -> frozenset[str]:
    """`item` and `index` of a node that walks over its own `items`; a node without such a field may give any."""
    assert step.node_class is not None
    walks = "items" in step.config or "items" not in properties_of(config_schema(step.node_class))
    return frozenset({"item", "index"}) if walks else frozenset()


def _is_expression_field(schema: JsonObject, path: tuple[str, ...]) -> bool:
    """A field of a fixed choice of words is no expression."""
    found = schema_at(schema, path)
    return not any("enum" in branch or "const" in branch for branch in found)


def _entries(node: YamlNode | None) -> Iterator[YamlNode]:
    if isinstance(node, ListNode):
        yield from node.items
    elif node is not None:
        yield node
