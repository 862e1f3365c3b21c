"""Dify's DSL (`kind: app`, workflow and chat flow) as a flow.

Source: Dify's export format, 0.1 to 0.6: `workflow.graph.nodes[].data`, `sourceHandle` of edges, `{{#id.field#}}`.
"""

from collections.abc import Callable, Sequence

from bridge.json_types import JsonObject, JsonValue
from flows.builder_expressions import literal
from flows.import_dify_graph import DifyGraph, DifyNode, read_graph
from flows.import_dify_nodes import NodeMaker
from flows.import_dify_values import output_field, without_fallback
from flows.import_report import (
    Draft,
    Imported,
    entries_at,
    flag_at,
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

_TEXT_INPUTS = frozenset({"text-input", "paragraph", "text", "select", "url", "json"})
_ITEM_ERRORS = {"terminated": "fail", "continue-on-error": "continue", "remove-abnormal-output": "drop"}


def import_dify(root: YamlNode, catalog: ModelNames) -> Imported:
    """The flow and its report. ValueError when the document has no graph (a chat or agent app without a workflow)."""
    graph = read_graph(root)
    if not graph.nodes:
        mode = text_at(root, "app", "mode") or "unknown"
        raise ValueError(
            f"this Dify app has no workflow (mode: {mode}); only workflow and advanced-chat apps are graphs"
        )
    name = text_at(root, "app", "name") or "dify"
    draft = Draft("dify", name, catalog, description=text_at(root, "app", "description"))
    return _Importer(root, graph, draft).run()


class _Importer:
    def __init__(self, root: YamlNode, graph: DifyGraph, draft: Draft) -> None:
        self._root = root
        self._graph = graph
        self._draft = draft
        self._maker = NodeMaker(draft, self.reader)
        self._environment = {text_at(one, "name"): one for one in items_at(root, "workflow", "environment_variables")}

    def run(self) -> Imported:
        for node in self._graph.nodes.values():
            if node.kind == "start":
                self._read_inputs(node)
        self._draft.nodes.update(self._block(""))
        self._read_outputs()
        self._report_features()
        return self._draft.finish()

    # references

    def reader(self, node: DifyNode) -> Callable[[Sequence[str]], str]:
        """The expression of a selector, as read by `node`: what may not have run there counts as absent."""

        def read(selector: Sequence[str]) -> str:
            return self._expression(node, selector)

        return read

    def _expression(self, reader: DifyNode, selector: Sequence[str]) -> str:
        source, names = selector[0], selector[1:]
        if source == "sys":
            return self._system(names[0] if names else "", reader)
        if source == "env":
            return self._variable(names[0] if names else "", reader)
        found = self._graph.nodes.get(source)
        if found is None:
            shown = ".".join(selector)
            self._draft.left_out(reader.data, f"reference to {shown}", "there is no such node; it reads null")
            return "null"
        if found.kind == "start":
            return self._input(names[0] if names else "")
        if found.kind in {"iteration", "loop"} and reader.parent == source and names[:1] in (["item"], ["index"]):
            return ".".join(names)
        return self._of_step(reader, found, names)

    def _of_step(self, reader: DifyNode, found: DifyNode, names: Sequence[str]) -> str:
        step_id = self._draft.id_of(found.id, found.title)
        is_missing = step_id in self._draft.placeholders
        text = f"nodes.{step_id}.output{'.value' if is_missing else output_field(found.kind, names)}"
        is_certain = self._graph.certain(found.id) <= self._graph.certain(reader.id)
        return text if is_certain or found.parent != reader.parent else f'coalesce({text}, "")'

    def _system(self, name: str, reader: DifyNode) -> str:
        if name in {"workflow_run_id"}:
            return "run.id"
        if name not in {"query", "user_id", "conversation_id", "files"}:
            self._draft.changed(reader.data, f"sys.{name}", "became an input of the flow")
        key = f"input:sys.{name}"
        input_id = self._draft.id_of(key, name)
        schema: JsonObject = {"type": "string"} if name == "query" else {"type": "string", "default": ""}
        self._draft.inputs.setdefault(input_id, schema)
        return f"inputs.{input_id}"

    def _variable(self, name: str, reader: DifyNode) -> str:
        found = self._environment.get(name)
        if found is None or text_at(found, "value_type") == "secret":
            self._draft.changed(reader.data, f"env.{name}", f"store it as the secret {name}")
            return f"secrets.{name}"
        return literal(text_at(found, "value"))

    def _input(self, name: str) -> str:
        return f"inputs.{self._draft.id_of(f'input:{name}', name)}"

    # inputs and outputs

    def _read_inputs(self, start: DifyNode) -> None:
        for variable in items_at(start.data, "variables"):
            name, kind = text_at(variable, "variable"), text_at(variable, "type")
            schema: dict[str, JsonValue] = {"type": "string"}
            if kind == "number":
                schema["type"] = "number"
            elif kind == "checkbox":
                schema["type"] = "boolean"
            elif kind == "file-list":
                schema |= {"type": "array", "items": {"type": "string"}}
                self._draft.changed(variable, f"input {name}", "files are given by their addresses")
            elif kind not in _TEXT_INPUTS:
                self._draft.changed(variable, f"input {name} ({kind})", "taken as a text, a file by its address")
            if kind == "select":
                schema["enum"] = list(texts_at(variable, "options"))
            most = number_at(variable, "max_length")
            if isinstance(most, int) and schema["type"] == "string" and kind != "select":
                schema["maxLength"] = most
            self._add_default(variable, schema, is_required=flag_at(variable, "required"))
            label = text_at(variable, "label")
            self._draft.inputs[self._draft.id_of(f"input:{name}", name)] = without_none(
                {**schema, "description": label if label and label != name else None}
            ) | ({"default": schema["default"]} if "default" in schema else {})

    def _add_default(self, variable: YamlNode, schema: dict[str, JsonValue], *, is_required: bool) -> None:
        given = get(variable, "default")
        if given is not None and text_at(variable, "default"):
            schema["default"] = (
                number_at(variable, "default") if schema["type"] == "number" else text_at(variable, "default")
            )
        elif not is_required:
            empty: dict[str, JsonValue] = {"string": "", "number": 0, "boolean": False, "array": []}
            schema["default"] = empty[str(schema["type"])]
            if "enum" in schema and isinstance(schema["enum"], list):
                schema["enum"] = [*schema["enum"], ""]

    def _read_outputs(self) -> None:
        """Of all the ends together: only one of several may have been reached."""
        found: dict[str, list[str]] = {}
        for node in self._graph.nodes.values():
            if node.kind == "answer":
                found.setdefault("answer", []).append(self._output_of(node, [node.id, "answer"]))
            for output in items_at(node.data, "outputs") if node.kind == "end" else ():
                name = identifier(text_at(output, "variable"))
                found.setdefault(name, []).append(self._output_of(node, texts_at(output, "value_selector")))
        for name, reads in found.items():
            is_sure = len(reads) == 1 and not reads[0].endswith("?")
            read = reads[0] if is_sure else f"coalesce({', '.join(one.removesuffix('?') for one in reads)})"
            self._draft.outputs[name] = "${{ " + read + " }}"

    def _output_of(self, node: DifyNode, selector: Sequence[str]) -> str:
        """The expression; with `?` behind it where a run may end without that value."""
        read = without_fallback(self._expression(node, selector))
        source = self._graph.nodes.get(selector[0]) if selector else None
        return f"{read}?" if source is not None and self._graph.certain(source.id) else read

    def _report_features(self) -> None:
        for name, feature in entries_at(self._root, "workflow", "features"):
            is_on = flag_at(feature, "enabled") and name != "retriever_resource"
            if is_on or (name in {"opening_statement", "suggested_questions"} and json_at(feature)):
                self._draft.left_out(feature, f"feature {name}", "belongs to Dify's chat window")
        for variable in items_at(self._root, "workflow", "conversation_variables"):
            what = f"conversation variable {text_at(variable, 'name')}"
            self._draft.left_out(variable, what, "a run keeps nothing for the next; give it as an input")

    # steps

    def _block(self, parent: str) -> dict[str, JsonValue]:
        steps: dict[str, JsonValue] = {}
        for node in self._graph.inside(parent):
            if not node.is_step:
                continue
            step_id = self._draft.id_of(node.id, node.title)
            made = self._iteration(node) if node.kind == "iteration" else self._maker.make(node, step_id)
            steps[step_id] = self._joined(node, made)
            if node.is_branch:
                steps.update(self._switch(node, step_id))
        return steps

    def _joined(self, node: DifyNode, made: JsonObject) -> JsonObject:
        """The step with what it waits for: in Dify a step with several ways to it runs when one was taken."""
        needs: list[JsonValue] = []
        for source, handle in self._graph.incoming.get(node.id, []):
            found = self._graph.nodes[source]
            if found.is_branch and not self._graph.is_named_by(source, node.id):
                needs.append(self._way(source, handle))
            elif found.is_step and not found.is_branch:
                needs.append(self._draft.id_of(source, found.title))
        unique = list(dict.fromkeys(needs))
        certain = self._graph.certain(node.id)
        is_meeting = any(
            self._graph.nodes[source].is_branch or not self._graph.certain(source) <= certain
            for source, _ in self._graph.incoming.get(node.id, [])
        )
        meeting = "any_succeeded" if certain else "none_failed"
        join: JsonObject = {"join": meeting} if len(unique) > 1 and is_meeting else {}
        return {"type": made["type"], **({"needs": unique} if unique else {}), **join, **made}

    def _way(self, branch: str, handle: str) -> str:
        return self._draft.id_of(f"way:{branch}:{handle}", f"{self._draft.id_of(branch)}_{handle}")

    def _switch(self, node: DifyNode, step_id: str) -> dict[str, JsonValue]:
        """The step that chooses, and one empty step for each way that no step can stand for."""
        ways: dict[str, JsonValue] = {}
        conditions = self._maker.conditions(node, step_id)
        named: dict[str, JsonValue] = {}
        for handle in (*conditions, "false"):
            targets = self._graph.targets(node.id, handle)
            direct = [
                self._draft.id_of(t, self._graph.nodes[t].title) for t in targets if self._graph.is_named_by(node.id, t)
            ]
            if len(direct) < len(targets) or (not direct and handle in conditions):
                way = self._way(node.id, handle)
                direct.append(way)
                ways[way] = {"type": "noop"}
            named[handle] = direct[0] if len(direct) == 1 else list[JsonValue](direct)
        cases: list[JsonValue] = [{"if": test, "then": named[handle]} for handle, test in conditions.items()]
        config: dict[str, JsonValue] = {"cases": cases}
        if named["false"]:
            config["default"] = named["false"]
        switch_id = step_id if node.kind == "if-else" else self._draft.id_of(f"switch:{node.id}", f"{step_id}_route")
        step: dict[str, JsonValue] = {"type": "switch", "with": config}
        if node.kind == "if-else":
            return {switch_id: self._joined(node, step), **ways}
        return {switch_id: step, **ways}

    def _iteration(self, node: DifyNode) -> JsonObject:
        body = self._block(node.id)
        finals = [name for name in body if not any(_waits_for(other, name) for other in body.values())]
        last = self._draft.id_of(f"value:{node.id}", f"{self._draft.id_of(node.id)}_value")
        inner = next((one for one in self._graph.inside(node.id) if one.is_step), node)
        value = self._expression(inner, texts_at(node.data, "output_selector"))
        body[last] = {"type": "transform", "needs": list[JsonValue](finals), "with": {"map": {"value": value}}}
        parallel = number_at(node.data, "parallel_nums")
        is_parallel = flag_at(node.data, "is_parallel")
        mode = text_at(node.data, "error_handle_mode") or "terminated"
        if mode == "continue-on-error":
            self._draft.changed(node.data, node.title, "items that fail are left out of the list instead of null")
        items = self._expression(node, texts_at(node.data, "iterator_selector"))
        config: dict[str, JsonValue] = {
            "items": "${{ " + items + " }}",
            "max_parallel": int(parallel or 10) if is_parallel else 1,
            "on_item_error": "drop" if mode == "continue-on-error" else _ITEM_ERRORS.get(mode, "fail"),
            "do": body,
        }
        return {"type": "foreach", "with": config}


def _waits_for(step: JsonValue, name: str) -> bool:
    return f"nodes.{name}." in str(step) or (isinstance(step, dict) and name in str(step.get("needs", "")))
