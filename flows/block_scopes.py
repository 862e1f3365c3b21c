"""Which steps and names are visible where, with their JSON Schemas."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.json_types import JsonObject, JsonValue
from flows.expressions_compiled import plain_chain
from flows.expressions_facts import Read
from flows.expressions_schemas import ANYTHING, Miss, follow, is_nullable, items_of, kinds_of
from flows.expressions_text import UnclosedExpressionError, sole_expression
from flows.expressions_types import TypedScope
from flows.node_schemas import output_schema
from flows.spec import BlockSpec, FlowSpec, StepSpec
from nodes.schemas import with_property

_TEXT: JsonObject = {"type": "string"}
_INTEGER: JsonObject = {"type": "integer"}
_ERROR: JsonObject = {
    "type": "object",
    "properties": {
        "node": _TEXT,
        "path": _TEXT,
        "class": _TEXT,
        "message": _TEXT,
        "item_index": {"type": ["integer", "null"]},
        "attempt": _INTEGER,
    },
}
_ITEM_ERROR: JsonObject = {"type": "object", "properties": {"index": _INTEGER, "class": _TEXT, "message": _TEXT}}
_RUN: Mapping[str, JsonValue] = {
    "id": _TEXT,
    "flow": _TEXT,
    "version": _INTEGER,
    "attempt": _INTEGER,
    "trigger": _TEXT,
    "started_at": _TEXT,
}
_CLOSING: Mapping[str, JsonValue] = {"status": _TEXT, "errors": {"type": "array", "items": _ERROR}, "summary": {}}
_TENANT: JsonObject = {"type": "object", "properties": {"id": _TEXT, "slug": _TEXT}}


@dataclass(slots=True)
class BlockScope:
    """One block with what is around it."""

    block: BlockSpec
    outer: "BlockScope | None" = None
    owner: StepSpec | None = None
    """The step whose body this is."""
    names: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    """Item names of this body and of those around it."""
    before: BlockSpec | None = None
    """For on_failure and finally: the steps that have ended by then."""
    roots: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    typed: dict[frozenset[str], TypedScope] = field(default_factory=dict[frozenset[str], TypedScope])

    @property
    def is_closing(self) -> bool:
        """Whether this is on_failure or finally, or within."""
        return self.before is not None or (self.outer is not None and self.outer.is_closing)

    def visible(self) -> dict[str, StepSpec]:
        """Every step that may be read here."""
        around = self.outer.visible() if self.outer is not None else dict(self.before.steps) if self.before else {}
        return {**around, **self.block.steps}

    def owner_of(self, target: str, step: StepSpec) -> StepSpec | None:
        """The step of the block of `target` that is, or contains, `step`; None when the block is not around here."""
        if target in self.block.steps:
            return step
        if self.outer is None or self.owner is None:
            return None
        return self.outer.owner_of(target, self.owner)


class ScopeTree:
    """The scopes of a document, by step; schemas of outputs are made once."""

    def __init__(self, spec: FlowSpec) -> None:
        self.spec = spec
        self.of_step: dict[str, BlockScope] = {}
        self.blocks: list[BlockScope] = []
        self.child_outputs: dict[str, JsonObject] = {}
        """Output schemas of child flows by step id; filled before types are checked."""
        self._outputs: dict[str, JsonObject] = {}
        main = self._add(BlockScope(spec.block))
        self.main = main
        self._add(BlockScope(spec.on_failure, before=spec.block))
        ended = BlockSpec(steps={**spec.block.steps, **spec.on_failure.steps})
        self._add(BlockScope(spec.finally_steps, before=ended))

    def _add(self, scope: BlockScope) -> BlockScope:
        self.blocks.append(scope)
        for step in scope.block.steps.values():
            self.of_step[step.id] = scope
            if step.body is not None:
                names = {**scope.names, **_names_of_body(step, item=ANYTHING, state=ANYTHING)}
                self._add(BlockScope(step.body, outer=scope, owner=step, names=names))
        return scope

    def resolve_items(self) -> None:
        """Give item and state names their schemas; outer bodies first, since inner ones may come from them."""
        for scope in self.blocks:
            if scope.owner is not None and scope.outer is not None:
                item, state = self.item_schema(scope.owner), self.state_schema(scope.owner)
                scope.names = {**scope.outer.names, **_names_of_body(scope.owner, item=item, state=state)}

    def item_schema(self, step: StepSpec) -> JsonObject:
        """The schema of one item of the step's foreach or matrix."""
        rule = step.foreach
        if rule is None:
            return {}
        scope = self.of_step[step.id]
        if rule.is_matrix and isinstance(rule.items, Mapping):
            values = {name: items_of(self.schema_of(value, scope)) for name, value in rule.items.items()}
            return {"type": "object", "properties": values}
        return items_of(self.schema_of(rule.items, scope))

    def state_schema(self, step: StepSpec) -> JsonObject:
        """The schema of a loop's `state`: closed, each value with the type of its first value."""
        first = step.config.get("state")
        if step.kind != "loop" or not isinstance(first, Mapping):
            return ANYTHING
        scope = self.of_step[step.id]
        values = {name: self._first_value(value, scope, step) for name, value in first.items()}
        return {"type": "object", "properties": values, "additionalProperties": False}

    def _first_value(self, value: JsonValue, scope: BlockScope, step: StepSpec) -> JsonObject:
        """The type that a state value has and keeps; anything where that is not known."""
        if not isinstance(value, str) or "${{" not in value:
            found: JsonObject = {"const": value}
        elif step.foreach is not None:  # may read the item of the step's own foreach
            return ANYTHING
        else:
            found = self.schema_of(value, scope)
        kinds = kinds_of(found)
        return {"type": next(iter(kinds))} if len(kinds) == 1 and not is_nullable(found) else ANYTHING

    def schema_of(self, value: JsonValue, scope: BlockScope) -> JsonObject:
        """The schema of a value that is a plain chain or a literal list; anything otherwise."""
        if isinstance(value, list):
            return {"type": "array", "items": _literal_items(value)}
        read = sole_chain(value)
        if read is None:
            return {}
        found = follow({"type": "object", "properties": self.roots(scope)}, read.path)
        return {} if isinstance(found, Miss) else found

    def roots(self, scope: BlockScope) -> dict[str, JsonObject]:
        """The schemas of the roots of a block, `nodes` included."""
        if not scope.roots:
            run = {**_RUN, **(_CLOSING if scope.is_closing else {})}
            nodes = {name: self.view_schema(step) for name, step in scope.visible().items()}
            scope.roots = {
                "inputs": self.spec.inputs_schema,
                "nodes": {"type": "object", "properties": nodes, "additionalProperties": False},
                "run": {"type": "object", "properties": run},
                "tenant": _TENANT,
                **scope.names,
            }
            if scope.is_closing:
                scope.roots["error"] = {"anyOf": [_ERROR, {"type": "null"}]}
                scope.roots["errors"] = {"type": "array", "items": _ERROR}
        return scope.roots

    def typed(self, scope: BlockScope, extra: Mapping[str, JsonObject]) -> TypedScope:
        """The checker of a block, with more names."""
        if extra:
            return TypedScope({**self.roots(scope), **extra})
        return scope.typed.setdefault(frozenset(), TypedScope(self.roots(scope)))

    def view_schema(self, step: StepSpec) -> JsonObject:
        """The schema of `nodes.<id>`."""
        return {
            "type": "object",
            "properties": {
                "output": self.output_of(step),
                "status": _TEXT,
                "error": {"anyOf": [_ERROR, {"type": "null"}]},
                "errors": {"type": "array", "items": _ITEM_ERROR},
                "attempts": _INTEGER,
                "cost_usd": {"type": ["number", "null"]},
                "duration_ms": {"type": ["number", "null"]},
            },
            "additionalProperties": False,
        }

    def output_of(self, step: StepSpec) -> JsonObject:
        """The schema of the step's output, repeated for each item under foreach."""
        if step.id not in self._outputs:
            self._outputs[step.id] = {}  # a body that reads its own foreach is reported as a cycle
            self._outputs[step.id] = self._make_output(step)
        return self._outputs[step.id]

    def _make_output(self, step: StepSpec) -> JsonObject:
        if step.id in self.child_outputs:
            single = self.child_outputs[step.id]
        else:
            single = output_schema(step.node_class, step.config)
        if step.kind == "foreach" and step.body is not None:
            properties = single.get("properties")
            results: JsonObject = {"type": "array", "items": self._nullable(step, self._element(step.body))}
            return {
                **single,
                "properties": {**(properties if isinstance(properties, Mapping) else {}), "results": results},
            }
        if step.kind == "loop":
            single = with_property(single, "state", self.state_schema(step))
        if step.foreach is not None:
            return {"type": "array", "items": self._nullable(step, single)}
        return single

    def _element(self, body: BlockSpec) -> JsonObject:
        final = final_steps(body)
        return self.output_of(final[0]) if len(final) == 1 else {}

    def _nullable(self, step: StepSpec, schema: JsonObject) -> JsonObject:
        if step.foreach is None or step.foreach.on_item_error != "continue" or not schema:
            return schema
        return {"anyOf": [schema, {"type": "null"}]}


def _names_of_body(step: StepSpec, *, item: JsonObject, state: JsonObject) -> dict[str, JsonObject]:
    """What the body of a step may read beyond what is around it."""
    names: dict[str, JsonObject] = {}
    if step.foreach is not None or step.kind == "foreach":
        names |= {step.foreach.name if step.foreach else "item": item, "index": _INTEGER}
    if step.kind == "loop":
        names["state"] = state
    return names


def final_steps(body: BlockSpec) -> list[StepSpec]:
    """The steps of a body on which no other step of it depends; known once the graph is built."""
    return [step for step in body.steps.values() if step.id in body.finals]


def sole_chain(value: JsonValue) -> Read | None:
    """The chain of fields that a text is, when it is exactly one expression and that is all of it."""
    try:
        sole = sole_expression(value) if isinstance(value, str) else None
    except UnclosedExpressionError:
        return None
    return plain_chain(sole.expression) if sole is not None else None


def _literal_items(values: list[JsonValue]) -> JsonObject:
    kinds = {kind for value in values for kind in kinds_of({"const": value})}
    return (
        {"type": next(iter(kinds))} if len(kinds) == 1 and kinds <= {"string", "integer", "number", "boolean"} else {}
    )
