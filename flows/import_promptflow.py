"""promptflow's `flow.dag.yaml` as a flow. Prompts and Python tools are read from the files beside it.

Source: promptflow's "Flow YAML schema" reference; `activate`, `aggregation` and chat prompts of its how-to guides.
"""

import re
from collections.abc import Callable

from bridge.json_types import JsonObject, JsonValue
from flows.builder_expressions import literal
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
    without_none,
)
from flows.validate_nodes import ModelNames
from flows.yaml_nodes import ScalarNode, YamlNode

_TYPES = {
    "int": "integer",
    "double": "number",
    "bool": "boolean",
    "string": "string",
    "list": "array",
    "object": "object",
}
_REFERENCE = re.compile(r"\$\{([^{}]+)\}")
_ROLE = re.compile(r"^[ \t]*#?[ \t]*(system|user|assistant)[ \t]*:[ \t]*\n", re.IGNORECASE | re.MULTILINE)
_IMPORT = re.compile(r"^(from promptflow[^\n]*|import promptflow[^\n]*|@tool(\([^\n]*\))?)\n", re.MULTILINE)
_FUNCTION = re.compile(r"@tool(?:\([^\n]*\))?\s*\n(?:async\s+)?def\s+(\w+)")
_SETTINGS = {"temperature": float, "max_tokens": int}
_NO_VARIABLE = frozenset(
    {
        "deployment_name", "model", "temperature", "max_tokens", "top_p", "stop", "suffix", "logprobs", "echo",
        "presence_penalty", "frequency_penalty", "best_of", "logit_bias", "n", "stream", "user", "function_call",
        "functions", "tools", "tool_choice", "response_format", "seed",
    }
)  # fmt: skip


def import_promptflow(
    root: YamlNode, catalog: ModelNames, read_beside: Callable[[str], str], *, name: str | None
) -> Imported:
    """The flow and its report; `read_beside` gives the prompts and tools that the document names (OSError without)."""
    draft = Draft("promptflow", text_at(root, "name") or name or "promptflow", catalog)
    return _Importer(root, draft, read_beside).run()


class _Importer:
    def __init__(self, root: YamlNode, draft: Draft, read_beside: Callable[[str], str]) -> None:
        self._root = root
        self._draft = draft
        self._read_beside = read_beside
        self._nodes = {text_at(node, "name"): self._chosen(node) for node in items_at(root, "nodes")}

    def run(self) -> Imported:
        for name, one in entries_at(self._root, "inputs"):
            self._read_input(name, one)
        for name, node in self._nodes.items():
            self._draft.id_of(name)
            if flag_at(node, "aggregation"):
                self._draft.left_out(node, f"node {name}", "it sums up many runs: make an evaluation of it")
        for name, node in self._nodes.items():
            if not flag_at(node, "aggregation"):
                self._draft.nodes[self._draft.id_of(name)] = self._step(name, node)
        for name, one in entries_at(self._root, "outputs"):
            self._draft.outputs[identifier(name)] = self._output(one)
        self._report_rest()
        return self._draft.finish()

    def _chosen(self, node: YamlNode) -> YamlNode:
        """The node, or its default variant."""
        name = text_at(node, "name")
        variants = get(self._root, "node_variants", name)
        if not flag_at(node, "use_variants") or variants is None:
            return node
        chosen = text_at(variants, "default_variant_id")
        others = [key for key, _ in entries_at(variants, "variants") if key != chosen]
        if others:
            what = f"variants {', '.join(others)} of {name}"
            self._draft.left_out(
                variants, what, f"the default, {chosen}, is taken; compare the others in an experiment"
            )
        return get(variants, "variants", chosen, "node") or node

    def _read_input(self, name: str, one: YamlNode) -> None:
        kind = text_at(one, "type")
        schema: dict[str, JsonValue] = {"type": _TYPES.get(kind, "string")}
        if kind not in _TYPES:
            self._draft.changed(one, f"input {name} ({kind})", "taken as a text")
        if get(one, "default") is not None:
            default = json_at(one, "default")
            number = number_at(one, "default")
            schema["default"] = number if kind in {"int", "double"} and number is not None else default
        if text_at(one, "description"):
            schema["description"] = text_at(one, "description")
        self._draft.inputs[self._draft.id_of(f"input:{name}", name)] = schema

    def _output(self, one: YamlNode) -> JsonValue:
        text = text_at(one, "reference")
        found = _REFERENCE.fullmatch(text.strip())
        return "${{ " + self._expression(found[1], one, tolerant=True) + " }}" if found else text

    # references

    def _expression(self, reference: str, at: YamlNode, *, tolerant: bool = False) -> str:
        head, *rest = reference.strip().split(".")
        if head in {"inputs", "flow"}:
            return f"inputs.{self._draft.id_of(f'input:{rest[0]}', rest[0])}" if rest else "inputs"
        node = self._nodes.get(head)
        if node is None or flag_at(node, "aggregation"):
            self._draft.left_out(at, f"reference ${{{reference}}}", "there is no such step; it reads null")
            return "null"
        step_id = self._draft.id_of(head)
        field = "value" if step_id in self._draft.placeholders else _FIELD.get(text_at(node, "type"), "result")
        path = "".join(f".{name}" for name in rest[1:]) if field in {"result", "value"} else ""
        read = f"nodes.{step_id}.output.{field}{path}"
        return f"coalesce({read})" if tolerant and self._may_be_skipped(head) else read

    def _may_be_skipped(self, name: str) -> bool:
        """Is it activated by a condition? What follows from it is read as null then, as promptflow does."""
        return get(self._nodes.get(name), "activate") is not None

    def _value(self, node: YamlNode) -> JsonValue:
        """An input of a node: a reference, or what is written."""
        text = node.text if isinstance(node, ScalarNode) else ""
        found = _REFERENCE.fullmatch(text.strip())
        if found is None:
            return json_at(node)
        return "${{ " + self._expression(found[1], node, tolerant=True) + " }}"

    # steps

    def _step(self, name: str, node: YamlNode) -> JsonObject:
        kind = text_at(node, "type")
        made = {"llm": self._llm, "prompt": self._prompt, "python": self._python}.get(kind, _nothing)(name, node)
        if made is None:
            step_id = self._draft.id_of(name)
            made = self._draft.placeholder(
                step_id, node, f"{name} ({kind})", "its tool or file has no counterpart here"
            )
        return {"type": made["type"], **self._activation(name, node), **made}

    def _activation(self, name: str, node: YamlNode) -> JsonObject:
        when = text_at(node, "activate", "when")
        found = _REFERENCE.fullmatch(when.strip())
        if found is None:
            return {}
        wanted = get(node, "activate", "is")
        value = wanted.value if isinstance(wanted, ScalarNode) else None
        return {"when": "${{ " + f"{self._expression(found[1], node)} == {literal(value)}" + " }}"}

    def _inputs(self, node: YamlNode, *, without: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
        return {name: self._value(value) for name, value in entries_at(node, "inputs") if name not in without}

    def _file(self, name: str, node: YamlNode) -> str | None:
        path = text_at(node, "source", "path")
        try:
            return self._read_beside(path).replace("\r\n", "\n") if path else None
        except OSError:
            self._draft.left_out(get(node, "source") or node, f"file {path} of {name}", "it is not beside the document")
            return None

    def _llm(self, name: str, node: YamlNode) -> JsonObject | None:
        text = self._file(name, node)
        if text is None:
            return None
        wanted = text_at(node, "inputs", "deployment_name") or text_at(node, "inputs", "model")
        config: dict[str, JsonValue] = {
            "model": self._draft.model([f"openai/{wanted}", wanted], get(node, "inputs") or node)
        }
        config |= self._messages(name, text, node)
        config["vars"] = self._inputs(node, without=_NO_VARIABLE)
        for setting, kind in _SETTINGS.items():
            number = number_at(node, "inputs", setting)
            config[setting] = kind(number) if number is not None else None
        config["stop"] = text_at(node, "inputs", "stop") or None
        for setting, value in entries_at(node, "inputs"):
            left = setting in _NO_VARIABLE - {*_SETTINGS, "deployment_name", "model", "stop"}
            if left and json_at(value) not in (None, "", "0", 0, "1", 1, "1.0", "False", False):
                self._draft.left_out(value, f"{setting} of {name}", "the bridge does not pass it on")
        return {"type": "llm", "with": without_none(config)}

    def _messages(self, name: str, text: str, node: YamlNode) -> JsonObject:
        """The prompt, cut at its `system:` and `user:` lines unless one stands inside of a Jinja block."""
        marks = list(_ROLE.finditer(text))
        if not marks:
            return {"prompt": text.strip() or " "}
        if any(text[: mark.start()].count("{% for") > text[: mark.start()].count("{% endfor") for mark in marks):
            self._draft.changed(node, f"roles of {name}", "turns made by a loop go as one text")
            return {"prompt": text.strip()}
        ends = [*[mark.start() for mark in marks[1:]], len(text)]
        turns: list[JsonValue] = [
            {"role": mark[1].lower(), "content": text[mark.end() : end].strip()}
            for mark, end in zip(marks, ends, strict=True)
        ]
        return {"messages": turns}

    def _prompt(self, name: str, node: YamlNode) -> JsonObject | None:
        text = self._file(name, node)
        if text is None:
            return None
        return {"type": "template", "with": without_none({"template": text, "vars": self._inputs(node)})}

    def _python(self, name: str, node: YamlNode) -> JsonObject | None:
        text = self._file(name, node)
        found = _FUNCTION.search(text or "")
        if text is None or found is None:
            return None
        for key, value in entries_at(node, "inputs"):
            if key == "connection" or text_at(node, "connection"):
                self._draft.left_out(
                    value, f"connection of {name}", "code has no network here; use an http or llm step"
                )
        source = _IMPORT.sub("", text).strip() + "\n"
        if found[1] != "main":
            source += f"\n\nmain = {found[1]}\n"
        return {"type": "python", "with": without_none({"source": source, "inputs": self._inputs(node)})}

    def _report_rest(self) -> None:
        for section in ("environment", "additional_includes", "environment_variables"):
            found = get(self._root, section)
            if found is not None:
                self._draft.left_out(
                    found, section, "a flow is one document; code runs with what the operator installed"
                )


_FIELD = {"llm": "text", "prompt": "text"}


def _nothing(_name: str, _node: YamlNode) -> JsonObject | None:
    return None
