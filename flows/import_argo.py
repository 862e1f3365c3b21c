"""Argo Workflows' DAGs (`Workflow`, `WorkflowTemplate`, `ClusterWorkflowTemplate`) as a flow.

What a template does is carried over where a step here does it: `http`, `script` in Python, `suspend`, and DAGs in DAGs.
A container is a program of its own, which no step runs. Source: Argo's field reference and page on enhanced depends.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

from bridge.json_types import JsonObject, JsonValue
from flows.builder_expressions import literal
from flows.import_argo_conditions import Waits, condition_of, waits_of
from flows.import_argo_scripts import as_function
from flows.import_argo_values import duration_of, joined_text, mixed_text, needs_of, text_value
from flows.import_report import (
    Draft,
    Imported,
    entries_at,
    get,
    identifier,
    items_at,
    json_at,
    number_at,
    text_at,
    texts_at,
    without_none,
)
from flows.validate_nodes import ModelNames
from flows.yaml_nodes import YamlNode

Scope = Mapping[str, str]
"""What `inputs.parameters.NAME` stands for inside of a template, as expressions."""

_MARK = re.compile(r"\{\{([^{}]+)\}\}")
_IGNORED = frozenset({"name", "inputs", "outputs", "dag", "http", "script", "suspend", "container", "steps"})
_SPEC_READ = frozenset({"entrypoint", "arguments", "templates", "activeDeadlineSeconds", "onExit"})
_MAX_NESTING = 5


def import_argo(root: YamlNode, catalog: ModelNames) -> Imported:
    """The flow and its report. ValueError when the entry point is no DAG of this document."""
    name = text_at(root, "metadata", "name") or text_at(root, "metadata", "generateName").rstrip("-") or "argo"
    spec = get(root, "spec")
    told = text_at(root, "metadata", "annotations", "workflows.argoproj.io/description")
    draft = Draft("argo", name, catalog, description=" ".join(told.split()))
    return _Importer(spec, draft).run()


class _Importer:
    def __init__(self, spec: YamlNode | None, draft: Draft) -> None:
        self._spec = spec
        self._draft = draft
        self._templates = {text_at(one, "name"): one for one in items_at(spec, "templates")}
        self._kinds: dict[str, str] = {}
        """Step -> what makes it: python, http, suspend, missing; decides where its result stands."""
        self._unsure: set[str] = set()
        """Steps that may end without an output while what follows goes on."""

    def run(self) -> Imported:
        entry = self._templates.get(text_at(self._spec, "entrypoint"))
        if entry is None or get(entry, "dag") is None:
            raise ValueError(f"the entry point `{text_at(self._spec, 'entrypoint')}` is no DAG of this document")
        for one in items_at(self._spec, "arguments", "parameters"):
            self._read_parameter(one)
        own = {
            text_at(one, "name"): self._parameter(text_at(one, "name"))
            for one in items_at(entry, "inputs", "parameters")
        }
        self._draft.nodes.update(self._dag(entry, own, prefix="", depth=0))
        for one in items_at(entry, "outputs", "parameters"):
            found = _MARK.fullmatch(text_at(one, "valueFrom", "parameter").strip())
            ids = self._ids(entry, "")
            read = self._reference(found[1].strip(), own, ids, one) if found else None
            if read is None:
                self._draft.left_out(one, f"output {text_at(one, 'name')}", "only parameters of tasks are read")
            else:
                self._draft.outputs[identifier(text_at(one, "name"))] = "${{ coalesce(" + read + ") }}"
        self._read_rest()
        return self._draft.finish()

    # inputs

    def _read_parameter(self, one: YamlNode) -> None:
        name = text_at(one, "name")
        schema: dict[str, JsonValue] = {"type": "string"}
        if text_at(one, "description"):
            schema["description"] = text_at(one, "description")
        if texts_at(one, "enum"):
            schema["enum"] = list(texts_at(one, "enum"))
        if get(one, "value") is not None or get(one, "default") is not None:
            schema["default"] = text_at(one, "value") or text_at(one, "default")
        self._draft.inputs[self._draft.id_of(f"input:{name}", name)] = schema

    def _parameter(self, name: str) -> str:
        return f"inputs.{self._draft.id_of(f'input:{name}', name)}"

    def _read_rest(self) -> None:
        seconds = number_at(self._spec, "activeDeadlineSeconds")
        if seconds:
            self._draft.sections["timeout"] = f"{int(seconds)}s"
        handler = self._templates.get(text_at(self._spec, "onExit"))
        if handler is not None:
            step_id = self._draft.id_of("exit:", "at_exit")
            made = self._template(handler, {}, step_id, {}, handler)
            self._draft.sections["finally"] = [{"id": step_id, **made}]
        for name, value in entries_at(self._spec):
            if name not in _SPEC_READ:
                self._draft.left_out(value, name, "it is about Kubernetes, or has no counterpart")

    # the graph

    def _ids(self, template: YamlNode, prefix: str) -> dict[str, str]:
        ids: dict[str, str] = {}
        for task in items_at(template, "dag", "tasks"):
            name = text_at(task, "name")
            ids[name] = self._draft.id_of(f"{prefix}{name}", f"{prefix}{name}")
            is_conditional = bool(text_at(task, "when")) or re.search(r"[.!|]", text_at(task, "depends")) is not None
            if is_conditional or get(task, "continueOn") is not None:
                self._unsure.add(ids[name])
        return ids

    def _dag(self, template: YamlNode, scope: Scope, *, prefix: str, depth: int) -> dict[str, JsonValue]:
        """The tasks of a DAG; those of a DAG in it are among them, behind what that waits for."""
        ids = self._ids(template, prefix)
        if texts_at(template, "dag", "target") or text_at(template, "dag", "target"):
            self._draft.left_out(get(template, "dag", "target") or template, "target", "all tasks run")
        steps: dict[str, JsonValue] = {}
        for task in items_at(template, "dag", "tasks"):
            steps.update(self._task(task, scope, ids, prefix=prefix, depth=depth))
        return steps

    def _task(
        self, task: YamlNode, scope: Scope, ids: Mapping[str, str], *, prefix: str, depth: int
    ) -> dict[str, JsonValue]:
        name = text_at(task, "name")
        step_id = ids[name]
        waits = self._waits(task, ids)
        read = partial(self._reference, scope=scope, ids=ids, at=task)
        inner = self._templates.get(text_at(task, "template"))
        given = {text_at(one, "name"): self._argument(one, read) for one in items_at(task, "arguments", "parameters")}
        repeated = self._items(task, read)
        if inner is not None and get(inner, "dag") is not None and depth < _MAX_NESTING:
            body = self._dag(inner, self._scope(inner, given), prefix=f"{prefix}{name}_", depth=depth + 1)
            self._kinds[step_id] = "dag"
            return {step_id: self._nested(task, step_id, body, waits, repeated, read)}
        made = self._made(task, inner, given, step_id, ids)
        when = self._when(task, waits, read)
        return {step_id: {"type": made["type"], **waits.to_step(), **when, **repeated, **made}}

    def _made(
        self, task: YamlNode, inner: YamlNode | None, given: Scope, step_id: str, ids: Mapping[str, str]
    ) -> JsonObject:
        if inner is None:
            self._kinds[step_id] = "missing"
            where = text_at(task, "templateRef", "name")
            what = f"task {text_at(task, 'name')}"
            why = (
                f"its template lies in {where}; import that, and call it with a `flow` step" if where else "no template"
            )
            return self._draft.placeholder(step_id, task, what, why)
        made = self._template(inner, self._scope(inner, given), step_id, ids, task)
        goes_on = text_at(task, "continueOn", "failed") == "true" or text_at(task, "continueOn", "error") == "true"
        return {**made, **self._modifiers(inner), **({"on_error": "continue"} if goes_on else {})}

    def _nested(  # noqa: PLR0917  # the parts of one step
        self,
        task: YamlNode,
        step_id: str,
        body: JsonObject,
        waits: Waits,
        repeated: JsonObject,
        read: Callable[[str], str | None],
    ) -> JsonObject:
        """A DAG in the DAG: a body that runs once, or once an item."""
        last = self._draft.id_of(f"end:{step_id}", f"{step_id}_end")
        finals = [name for name in body if not any(f"'{name}'" in str(needs_of(other)) for other in body.values())]
        end: JsonObject = {"type": "noop", "needs": list[JsonValue](finals)}
        config: dict[str, JsonValue] = {"items": [1], "do": {**body, last: end}}
        loop = repeated.get("foreach")
        if isinstance(loop, dict):
            config |= loop
        return {"type": "foreach", **waits.to_step(), **self._when(task, waits, read), "with": config}

    def _scope(self, inner: YamlNode, given: Scope) -> dict[str, str]:
        defaults = {
            text_at(one, "name"): literal(text_at(one, "value") or text_at(one, "default"))
            for one in items_at(inner, "inputs", "parameters")
        }
        return {**defaults, **given}

    def _waits(self, task: YamlNode, ids: Mapping[str, str]) -> Waits:
        depends = text_at(task, "depends") or " && ".join(texts_at(task, "dependencies"))
        if not depends:
            return Waits()
        try:
            return waits_of(depends, ids)
        except ValueError as error:
            self._draft.left_out(get(task, "depends") or task, f"depends of {text_at(task, 'name')}", str(error))
            return Waits()

    def _when(self, task: YamlNode, waits: Waits, read: Callable[[str], str | None]) -> JsonObject:
        tests = [waits.when] if waits.when else []
        if text_at(task, "when"):
            test = condition_of(text_at(task, "when"), read)
            if test is None:
                at = get(task, "when") or task
                self._draft.left_out(
                    at, f"condition of {text_at(task, 'name')}", "it cannot be said in CEL; the step does not run"
                )
            tests.append(test or "false")
        if not tests:
            return {}
        return {"when": "${{ " + (tests[0] if len(tests) == 1 else " && ".join(f"({one})" for one in tests)) + " }}"}

    def _items(self, task: YamlNode, read: Callable[[str], str | None]) -> JsonObject:
        """`withItems`, `withParam` and `withSequence` as foreach."""
        listed = get(task, "withItems")
        if listed is not None:
            return {"foreach": {"items": json_at(task, "withItems")}}
        found = _MARK.fullmatch(text_at(task, "withParam").strip())
        if found is not None:
            items = read(found[1].strip())
            return {"foreach": {"items": "${{ json(text(" + (items or "[]") + ")) }}"}}
        count = number_at(task, "withSequence", "count")
        if count is not None:
            start = int(number_at(task, "withSequence", "start") or 0)
            return {"foreach": {"items": [str(number) for number in range(start, start + int(count))]}}
        if get(task, "withSequence") is not None or text_at(task, "withParam"):
            at = get(task, "withSequence") or get(task, "withParam") or task
            self._draft.left_out(at, f"repetition of {text_at(task, 'name')}", "only counts and single values are read")
        return {}

    def _argument(self, one: YamlNode, read: Callable[[str], str | None]) -> str:
        """A parameter given to a template, as an expression; mixed texts are joined."""
        return joined_text(text_at(one, "value"), read)

    # references

    def _reference(self, name: str, scope: Scope, ids: Mapping[str, str], at: YamlNode) -> str | None:
        """What `{{name}}` stands for; None, and a finding, when nothing here does."""
        found: str | None = None
        match name.split("."):
            case ["inputs", "parameters", parameter]:
                found = scope.get(parameter)
            case ["workflow", "parameters", parameter] if f"input:{parameter}" in self._known_inputs():
                found = self._parameter(parameter)
            case ["workflow", "uid" | "name"]:
                found = "run.id"
            case ["workflow", "status"]:
                found = "run.status"
            case ["item", *fields]:
                found = ".".join(["item", *fields])
            case ["tasks", task, "outputs", *rest] if task in ids:
                found = self._result(ids[task], rest[-1] if rest[:1] == ["parameters"] else "")
            case ["tasks", task, "status"] if task in ids:
                found = f"nodes.{ids[task]}.status"
            case _:
                pass
        if found is None:
            self._draft.left_out(at, "{{" + name + "}}", "nothing here has that value; it is an empty text")
        return found

    def _known_inputs(self) -> frozenset[str]:
        return frozenset(f"input:{text_at(one, 'name')}" for one in items_at(self._spec, "arguments", "parameters"))

    def _result(self, step_id: str, parameter: str) -> str:
        kind = self._kinds.get(step_id, "python")
        field = {"http": "text", "suspend": "values", "missing": "value", "dag": "results"}.get(kind, "stdout")
        text = f"nodes.{step_id}.output.{field}"
        if kind == "suspend" and parameter:
            text = f"{text}.{identifier(parameter)}"
        text = f'coalesce({text}, "")' if step_id in self._unsure else text
        return f"trim({text})" if field == "stdout" else text

    # templates

    def _template(  # what a template is filled with
        self, inner: YamlNode, scope: Scope, step_id: str, ids: Mapping[str, str], at: YamlNode
    ) -> JsonObject:
        read = partial(self._reference, scope=scope, ids=ids, at=inner)
        for name, value in entries_at(inner):
            if name not in _IGNORED and name not in {"retryStrategy", "timeout", "activeDeadlineSeconds"}:
                self._draft.left_out(
                    value, f"{name} of {text_at(inner, 'name')}", "it is about pods, or has no counterpart"
                )
        for key in ("inputs", "outputs"):
            found = get(inner, key, "artifacts")
            if found is not None:
                self._draft.left_out(
                    found, f"artifacts of {text_at(inner, 'name')}", "values go between steps, files do not"
                )
        if get(inner, "http") is not None:
            self._kinds[step_id] = "http"
            return self._http(inner, read)
        if get(inner, "suspend") is not None:
            return self._suspend(inner, step_id)
        is_python = "python" in " ".join([text_at(inner, "script", "image"), *texts_at(inner, "script", "command")])
        script = self._script(inner, read) if is_python else None
        if script is not None:
            self._kinds[step_id] = "python"
            return script
        self._kinds[step_id] = "missing"
        kinds = [name for name, _ in entries_at(inner) if name not in {"name", "inputs", "outputs", "metadata"}]
        why = f"no step runs a `{kinds[0] if kinds else 'nothing'}` like this"
        return self._draft.placeholder(step_id, inner, f"template {text_at(inner, 'name')}", why)

    def _http(self, inner: YamlNode, read: Callable[[str], str | None]) -> JsonObject:
        headers: dict[str, JsonValue] = {}
        for one in items_at(inner, "http", "headers"):
            if get(one, "valueFrom") is not None:
                self._draft.left_out(
                    one, f"header {text_at(one, 'name')}", "store its value as a secret: `${{ secrets.NAME }}`"
                )
            else:
                headers[text_at(one, "name")] = mixed_text(text_at(one, "value"), read)
        if text_at(inner, "http", "successCondition"):
            at = get(inner, "http", "successCondition") or inner
            self._draft.left_out(at, f"successCondition of {text_at(inner, 'name')}", "name the statuses in `expect`")
        config: dict[str, JsonValue] = {
            "method": text_at(inner, "http", "method").upper() or "GET",
            "url": mixed_text(text_at(inner, "http", "url"), read),
            "headers": headers,
            "body": mixed_text(text_at(inner, "http", "body"), read) or None,
        }
        seconds = number_at(inner, "http", "timeoutSeconds")
        return {"type": "http", "with": without_none(config), **({"timeout": f"{int(seconds)}s"} if seconds else {})}

    def _suspend(self, inner: YamlNode, step_id: str) -> JsonObject:
        """With a duration it waits; without one a person has to let it go on, and may give parameters."""
        duration = duration_of(text_at(inner, "suspend", "duration"))
        self._kinds[step_id] = "suspend"
        if duration:
            return {"type": "wait", "with": {"for": duration}}
        form: dict[str, JsonValue] = {}
        for one in items_at(inner, "inputs", "parameters"):
            schema: dict[str, JsonValue] = {"type": "string", "enum": list(texts_at(one, "enum"))}
            default = text_at(one, "default") or text_at(one, "value")
            form[identifier(text_at(one, "name"))] = without_none(schema) | ({"default": default} if default else {})
        return {"type": "approve", "with": {"form": form}} if form else {"type": "approve"}

    def _script(self, inner: YamlNode, read: Callable[[str], str | None]) -> JsonObject | None:
        def value_of(name: str) -> str | None:
            found = read(name)
            return None if found is None else text_value(found)

        made = as_function(text_at(inner, "script", "source"), value_of)
        if made is None:
            return None
        source, arguments = made
        if arguments:
            what = f"script of {text_at(inner, 'name')}"
            why = "parameters are arguments; nothing is pasted into code"
            self._draft.changed(get(inner, "script", "source") or inner, what, why)
        return {"type": "python", "with": without_none({"source": source, "inputs": arguments})}

    def _modifiers(self, inner: YamlNode) -> JsonObject:
        more: dict[str, JsonValue] = {}
        limit = number_at(inner, "retryStrategy", "limit")
        if limit is not None:
            pause = duration_of(text_at(inner, "retryStrategy", "backoff", "duration"))
            cap = duration_of(text_at(inner, "retryStrategy", "backoff", "maxDuration"))
            every = ["rate_limit", "timeout", "unavailable", "user", "internal"]
            rule: JsonObject = {
                "attempts": min(int(limit) + 1, 20),
                "base": pause,
                "cap": cap,
                "on": list[JsonValue](every),
            }
            more["retry"] = {key: value for key, value in rule.items() if value is not None}
        seconds = number_at(inner, "activeDeadlineSeconds")
        timeout = duration_of(text_at(inner, "timeout")) or (f"{int(seconds)}s" if seconds else None)
        return {**more, "timeout": timeout} if timeout else more
