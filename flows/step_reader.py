"""Reads one step: its keys, its `with:` block by the schema of its node type, its modifiers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from pydantic import ValidationError

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject, JsonValue
from flows import unsupported
from flows.diagnostics import Diagnostics
from flows.experiment_reader import read_experiment
from flows.expressions_compiled import CEL_WORDS, ROOTS
from flows.node_schemas import config_schema
from flows.plan import TRANSIENT, CacheRule, ErrorRule, ForeachRule, RetryRule
from flows.schema_checks import check_schema
from flows.schema_reader import SchemaReader
from flows.spec import BlockSpec, NameUse, Section, StepSpec
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, node_at, scalars_of, to_json
from nodes.durations import seconds
from nodes.node import Node
from nodes.schemas import has_expression

JOINS = ("all_succeeded", "none_failed", "all_done", "any_succeeded", "first")


class StepReader:
    """Reads steps of one document. The reader of the whole has checked the shape of their keys already."""

    def __init__(self, problems: Diagnostics, types: Mapping[str, type[Node[Any]]], defaults: JsonObject) -> None:
        self._problems = problems
        self._types = types
        self._defaults = defaults

    def check_id(self, key: ScalarNode) -> None:
        """Refuse ids that expressions could not read."""
        if key.text in ROOTS or key.text in CEL_WORDS:
            self._problems.error(key, "reserved_name", f"`{key.text}` is a reserved word", "choose another id")

    def read(self, step_id: str, key: ScalarNode, node: MapNode, section: Section) -> StepSpec:
        """The step as written; its body, if any, is empty yet."""
        step = StepSpec(id=step_id, key=key, node=node, section=section)
        self._read_type(step)
        self._read_config(step)
        step.needs = tuple(_names(node.get("needs")))
        join = _text(node.get("join"))
        step.join = join if join in JOINS else "all_succeeded"
        when = node.get("when")
        step.when = when.text if isinstance(when, ScalarNode) else None
        self._read_repetition(step)
        if step.is_control:
            self._refuse_on_control(step)
        else:
            step.retry = _retry({**_map(self._defaults.get("retry")), **_json_map(node.get("retry"))})
        step.timeout_s = _seconds(_text(node.get("timeout")) or self._defaults.get("timeout"))
        step.deadline_s = _seconds(_text(node.get("deadline")))
        cache = _json_map(node.get("cache"))
        ttl_s = _seconds(cache.get("ttl"))
        if ttl_s is not None:
            scope = cache.get("scope", "flow")
            step.cache = CacheRule(ttl_s, key=cast("str | None", cache.get("key")), scope=cast("Any", scope))
        self._read_on_error(step)
        step.task = _text(node.get("task")) or None
        read_experiment(step, self._problems, self._check_by_class)
        for name in sorted(unsupported.STEP_KEYS):
            unused = node.key(name)
            if unused is not None:
                self._problems.error(unused, "not_supported_yet", unsupported.message(f"`{name}`"), "remove it for now")
        return step

    def _refuse_on_control(self, step: StepSpec) -> None:
        """A step that only walks others is not tried again or cached: they are."""
        for name in ("retry", "cache"):
            key = step.node.key(name)
            if key is not None:
                message = f"a `{step.kind}` step takes no `{name}`"
                self._problems.error(key, "not_allowed_here", message, "put it on the steps inside, which do the work")

    # type and with

    def _read_type(self, step: StepSpec) -> None:
        node = step.node.get("type")
        if not isinstance(node, ScalarNode):
            return
        step.kind = node.text
        step.node_class = self._types.get(node.text)
        if step.node_class is not None:
            return
        if node.text in unsupported.NODE_TYPES:
            what = f"the node type `{node.text}`"
            self._problems.error(node, "not_supported_yet", unsupported.message(what))
        else:
            hint = did_you_mean(node.text, self._types) or f"types are {', '.join(self._types)}"
            self._problems.error(node, "unknown_node_type", f"unknown node type `{node.text}`", hint)

    def _read_config(self, step: StepSpec) -> None:
        node, key = step.node.get("with"), step.node.key("with")
        if node is not None and not isinstance(node, MapNode):
            return
        block = node or MapNode(step.node.line, step.node.column)
        if "do" in block.entries or step.kind in {"foreach", "loop"}:
            step.body = BlockSpec(key=block.key("do") or key or step.key)
        entries = {name: entry for name, entry in block.entries.items() if name != "do"}
        step.config_node = MapNode(block.line, block.column, entries, block.is_incomplete)
        if step.node_class is None:
            step.config = cast("JsonObject", to_json(step.config_node))
            return
        schema = dict(config_schema(step.node_class))
        required = cast("Sequence[str]", schema.get("required") or ())
        if node is None and required:
            message = f"`with` is missing: {step.kind} needs {', '.join(f'`{name}`' for name in required)}"
            self._problems.error(step.key, "missing_key", message, "add `with:`")
            return
        schema["required"] = [name for name in required if name != "do" or "do" not in block.entries]
        if step.kind not in {"foreach", "loop"} and "do" in block.entries:
            step.body = None
            step.config_node = block
        self._check_config(step, schema, key or step.key)

    def _check_config(self, step: StepSpec, schema: JsonObject, at: YamlNode) -> None:
        assert step.node_class is not None
        assert step.config_node is not None
        trial = Diagnostics(self._problems.file)
        reader = SchemaReader(trial, schema, are_expressions_allowed=True, what=f"field of {step.kind}")
        step.config = cast("JsonObject", reader.read(step.config_node, schema, at))
        self._problems.extend(trial)
        self._check_schemas(step)
        self._apply_defaults(step, schema)
        is_literal = not any("${{" in scalar.text for _, scalar in scalars_of(step.config_node))
        if not trial.has_errors and is_literal and step.body is None:
            self._check_by_class(step, at)

    def _check_schemas(self, step: StepSpec) -> None:
        """A literal JSON Schema in the block, as llm and extract take it."""
        node = step.config_node.get("schema") if step.config_node is not None else None
        value = step.config.get("schema")
        is_literal = isinstance(value, Mapping) and not has_expression(value)
        if isinstance(node, MapNode) and is_literal and not check_schema(_map(value), node, self._problems):
            step.config = {name: part for name, part in step.config.items() if name != "schema"}

    def _check_by_class(self, step: StepSpec, at: YamlNode) -> None:
        """What the schema cannot say, the class does; only a block without expressions can be asked."""
        assert step.node_class is not None
        assert step.config_node is not None
        try:
            step.node_class.model_validate(dict(step.config))
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                place, key = node_at(step.config_node, problem["loc"])
                target = at if place is step.config_node else (key if problem["type"] == "missing" else place)
                message = problem["msg"].removeprefix("Value error, ")
                self._problems.error(target or place, "invalid_value", message[0].lower() + message[1:])

    def _apply_defaults(self, step: StepSpec, schema: JsonObject) -> None:
        limit = self._defaults.get("max_tokens")
        if limit is not None and "max_tokens" in _map(schema.get("properties")) and "max_tokens" not in step.config:
            step.config = {**step.config, "max_tokens": limit}

    # foreach, matrix, on_error

    def _read_repetition(self, step: StepSpec) -> None:
        modifier, matrix = step.node.get("foreach"), step.node.get("matrix")
        if isinstance(modifier, MapNode) and isinstance(matrix, MapNode):
            message = "a step has `foreach` or `matrix`, not both"
            self._problems.error(step.node.key("matrix") or matrix, "invalid_value", message)
        if step.kind == "foreach":
            if isinstance(modifier, MapNode) or isinstance(matrix, MapNode):
                at = step.node.key("foreach") or step.node.key("matrix") or step.key
                self._problems.error(at, "invalid_value", "a foreach node takes these keys in its `with:`")
            modifier = step.config_node if "items" in step.config else None
        if isinstance(modifier, MapNode):
            step.foreach_node = modifier
            step.foreach = _foreach(_json_map(modifier))
            self._check_item_name(modifier)
        elif isinstance(matrix, MapNode):
            step.foreach_node = matrix
            step.foreach = ForeachRule(items=to_json(matrix), is_matrix=True)

    def _check_item_name(self, modifier: MapNode) -> None:
        name = modifier.get("as")
        if isinstance(name, ScalarNode) and name.text != "item" and (name.text in ROOTS or name.text in CEL_WORDS):
            self._problems.error(name, "reserved_name", f"`{name.text}` is a reserved word", "choose another name")

    def _read_on_error(self, step: StepSpec) -> None:
        node = step.node.get("on_error")
        entries = node.items if isinstance(node, ListNode) else [node] if node is not None else []
        rules: list[ErrorRule] = []
        gotos: list[NameUse] = []
        for entry in entries:
            rule = self._error_rule(entry)
            if rule is None:
                continue
            rules.append(rule)
            target = entry.get("goto") if isinstance(entry, MapNode) else None
            if rule.goto and target is not None:
                gotos.append(NameUse(rule.goto, target))
        step.on_error, step.gotos = tuple(rules), tuple(gotos)

    def _error_rule(self, entry: YamlNode) -> ErrorRule | None:
        if isinstance(entry, ScalarNode):
            return ErrorRule("continue") if entry.text == "continue" else ErrorRule("fail")
        if not isinstance(entry, MapNode):
            return None
        value = _json_map(entry)
        actions = [name for name in ("default", "goto", "continue", "fail") if name in value]
        if len(actions) > 1:
            message = f"an entry of on_error does one thing, not {' and '.join(actions)}"
            self._problems.error(entry.key(actions[1]) or entry, "invalid_value", message)
            return None
        on = tuple(cast("Sequence[ErrorClass]", value.get("on") or ()))
        action = cast("Literal['default', 'goto', 'continue', 'fail']", actions[0] if actions else "fail")
        goto = str(value["goto"]) if action == "goto" else None
        return ErrorRule(action, default=value.get("default"), goto=goto, on=on)


def _names(node: YamlNode | None) -> Iterator[NameUse]:
    for item in node.items if isinstance(node, ListNode) else [node] if node is not None else []:
        if isinstance(item, ScalarNode):
            yield NameUse(item.text, item)


def _retry(value: JsonObject) -> RetryRule:
    rule = RetryRule()
    attempts = value.get("attempts", 3 if value else 1)
    on = value.get("on")
    when = value.get("when")
    return replace(
        rule,
        attempts=attempts if isinstance(attempts, int) else 1,
        backoff=cast("Any", value.get("backoff", rule.backoff)),
        base_s=_seconds(value.get("base")) or rule.base_s,
        cap_s=_seconds(value.get("cap")) or rule.cap_s,
        jitter=cast("Any", value.get("jitter", rule.jitter)),
        on=tuple(cast("Sequence[ErrorClass]", on))
        if isinstance(on, Sequence) and not isinstance(on, str)
        else TRANSIENT,
        when=when if isinstance(when, str) else None,
        mode=cast("Any", value.get("mode", rule.mode)),
    )


def _foreach(value: JsonObject) -> ForeachRule:
    rule = ForeachRule(items=value.get("items"))
    return replace(
        rule,
        name=str(value.get("as", rule.name)),
        max_parallel=_count(value.get("max_parallel"), rule.max_parallel),
        on_item_error=cast("Any", value.get("on_item_error", rule.on_item_error)),
        max_items=_count(value.get("max_items"), rule.max_items),
    )


def _count(value: JsonValue, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _text(node: YamlNode | None) -> str:
    return node.text if isinstance(node, ScalarNode) else ""


def _json_map(node: YamlNode | None) -> JsonObject:
    return _map(to_json(node)) if node is not None else {}


def _map(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}


def _seconds(value: JsonValue) -> float | None:
    try:
        return seconds(value) if isinstance(value, str) and value else None
    except ValueError:
        return None
