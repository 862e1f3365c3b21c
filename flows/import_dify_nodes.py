"""Single nodes of Dify as steps."""

from collections.abc import Callable, Sequence

from bridge.json_types import JsonObject, JsonValue
from flows.import_dify_graph import DifyNode
from flows.import_dify_values import (
    Template,
    condition,
    json_body,
    mixed_text,
    output_field,
    schema_of_type,
    template_of,
    without_fallback,
)
from flows.import_report import (
    Draft,
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
from flows.yaml_nodes import ScalarNode, YamlNode
from nodes.node import node_types

Read = Callable[[Sequence[str]], str]
_MODEL_SETTINGS = ("temperature", "max_tokens")
_SUBMITTED = {"json": "json", "raw-text": "body", "raw": "body"}


class NodeMaker:
    """Makes the `type` and `with` (and retries) of steps; the graph adds what they wait for."""

    def __init__(self, draft: Draft, reader: Callable[[DifyNode], Read]) -> None:
        self._draft = draft
        self._reader = reader
        self._makers: dict[str, Callable[[DifyNode, Read], JsonObject | None]] = {
            "llm": self._llm,
            "code": self._code,
            "template-transform": self._template,
            "http-request": self._http,
            "question-classifier": self._classifier,
            "parameter-extractor": self._extractor,
            "variable-aggregator": self._aggregator,
            "answer": self._answer,
            "if-else": lambda _node, _read: {"type": "switch"},
            "knowledge-retrieval": self._retrieval,
        }

    def make(self, node: DifyNode, step_id: str) -> JsonObject:
        """The step, or one that fails where there is nothing like it here."""
        maker = self._makers.get(node.kind)
        made = maker(node, self._reader(node)) if maker is not None else None
        if made is None:
            why = f"no step here does what a Dify `{node.kind}` does"
            return self._draft.placeholder(step_id, node.data, f"{node.title} ({node.kind})", why)
        return {**made, **self._errors(node)}

    def conditions(self, node: DifyNode, step_id: str) -> dict[str, str]:
        """The ways out of a branch, each with the condition under which it is taken."""
        if node.kind == "question-classifier":
            return {
                text_at(one, "id"): f"nodes.{step_id}.output.label == '{self._label(one)}'"
                for one in items_at(node.data, "classes")
            }
        cases = items_at(node.data, "cases") or items_at(node.data, "conditions")
        if cases and get(cases[0], "conditions") is None:
            return {"true": self._joined(node, cases, text_at(node.data, "logical_operator"))}
        return {
            text_at(case, "case_id") or text_at(case, "id"): self._joined(
                node, items_at(case, "conditions"), text_at(case, "logical_operator")
            )
            for case in cases
        }

    def _joined(self, node: DifyNode, conditions: Sequence[YamlNode], operator: str) -> str:
        read = self._reader(node)
        tests: list[str] = []
        for one in conditions:
            selector = texts_at(one, "variable_selector")
            compared = text_at(one, "comparison_operator")
            test = condition(read(selector), compared, text_at(one, "value"), text_at(one, "varType"), read)
            if test is None:
                self._draft.left_out(one, f"condition `{compared}` in {node.title}", "counts as not met")
            tests.append(test or "false")
        return (" || " if operator == "or" else " && ").join(tests) or "true"

    def _errors(self, node: DifyNode) -> JsonObject:
        """Retries and what happens on an error."""
        more: dict[str, JsonValue] = {}
        attempts = number_at(node.data, "retry_config", "max_retries")
        if flag_at(node.data, "retry_config", "retry_enabled") and isinstance(attempts, int):
            pause = number_at(node.data, "retry_config", "retry_interval") or 1000
            more["retry"] = {"attempts": min(attempts + 1, 20), "backoff": "constant", "base": f"{int(pause)}ms"}
        strategy = text_at(node.data, "error_strategy")
        if strategy == "fail-branch":
            at = get(node.data, "error_strategy") or node.data
            self._draft.left_out(
                at, f"fail branch of {node.title}", "an error fails the run; use `on_error: {goto: ...}`"
            )
        elif strategy == "default-value":
            more["on_error"] = {"default": self._instead(node)}
        return more

    def _instead(self, node: DifyNode) -> JsonObject:
        """What the step gives when it fails; a default of no plain field of the output is left out."""
        values: dict[str, JsonValue] = {}
        for one in items_at(node.data, "default_value"):
            field = output_field(node.kind, [text_at(one, "key")]).removeprefix(".")
            if field.isidentifier():
                number = number_at(one, "value") if text_at(one, "type") == "number" else None
                values[field] = text_at(one, "value") if number is None else number
            else:
                self._draft.left_out(one, f"default of {text_at(one, 'key')} in {node.title}", "it is null instead")
        return values

    def _model(self, node: DifyNode, key: str = "model") -> str:
        at = get(node.data, key) or node.data
        provider, name = text_at(node.data, key, "provider"), text_at(node.data, key, "name")
        vendor = provider.rsplit("/", maxsplit=1)[-1]
        for setting, value in entries_at(node.data, key, "completion_params"):
            if setting not in {*_MODEL_SETTINGS, "stop"}:
                self._draft.left_out(value, f"{setting} of {node.title}", "the bridge does not pass it on")
        return self._draft.model([f"{vendor}/{name}", name], at)

    def _settings(self, node: DifyNode) -> dict[str, JsonValue]:
        found = {name: number_at(node.data, "model", "completion_params", name) for name in _MODEL_SETTINGS}
        return without_none({**found, "stop": json_at(node.data, "model", "completion_params", "stop")})

    # one method a kind

    def _llm(self, node: DifyNode, read: Read) -> JsonObject:
        own = {
            text_at(one, "variable"): "${{ " + read(texts_at(one, "value_selector")) + " }}"
            for one in items_at(node.data, "prompt_config", "jinja2_variables")
        }
        prompts = items_at(node.data, "prompt_template") or [
            part for part in [get(node.data, "prompt_template")] if part
        ]
        context = texts_at(node.data, "context", "variable_selector")
        messages: list[JsonValue] = []
        variables: dict[str, JsonValue] = {}
        for one in prompts:
            is_jinja = text_at(one, "edition_type") == "jinja2"
            text = text_at(one, "jinja2_text") if is_jinja and text_at(one, "jinja2_text") else text_at(one, "text")
            if context:
                text = text.replace("{{#context#}}", "{{#" + ".".join(context) + "#}}")
            made = template_of(text, read, known={**variables, **(own if is_jinja else {})} if is_jinja else None)
            messages.append({"role": text_at(one, "role") or "user", "content": self._renamed(made, variables)})
        if text_at(node.data, "memory", "query_prompt_template") or flag_at(node.data, "memory", "window", "enabled"):
            self._draft.left_out(
                get(node.data, "memory") or node.data, f"memory of {node.title}", "a run has no history"
            )
        if flag_at(node.data, "vision", "enabled"):
            self._draft.left_out(
                get(node.data, "vision") or node.data, f"images of {node.title}", "give them in `images`"
            )
        schema = json_at(node.data, "structured_output", "schema")
        config = {"model": self._model(node), **_prompt(messages), "vars": variables, "schema": schema}
        return {"type": "llm", "with": without_none({**config, **self._settings(node)})}

    def _renamed(self, made: Template, variables: dict[str, JsonValue]) -> str:
        """The text, with its variables entered among those of the step under names of their own."""
        text = made.text
        for name, value in made.vars.items():
            free = name
            while variables.get(free, value) != value:
                free += "_"
            variables[free] = value
            text = text if free == name else text.replace("{{ " + name + " }}", "{{ " + free + " }}")
        return text

    def _code(self, node: DifyNode, read: Read) -> JsonObject | None:
        if text_at(node.data, "code_language") not in {"python3", "python"}:
            return None
        properties: dict[str, JsonValue] = {}
        for name, one in entries_at(node.data, "outputs"):
            properties[name] = schema_of_type(text_at(one, "type"), self._draft, one)
        for one in items_at(node.data, "outputs"):
            properties[text_at(one, "variable")] = schema_of_type(text_at(one, "variable_type"), self._draft, one)
        arguments: dict[str, JsonValue] = {
            text_at(one, "variable"): "${{ " + read(texts_at(one, "value_selector")) + " }}"
            for one in items_at(node.data, "variables")
        }
        schema: JsonObject = {"type": "object", "properties": properties, "required": list(properties)}
        return {"type": "python", "with": {"source": text_at(node.data, "code"), "inputs": arguments, "schema": schema}}

    def _template(self, node: DifyNode, read: Read) -> JsonObject:
        known: dict[str, JsonValue] = {
            text_at(one, "variable"): "${{ " + read(texts_at(one, "value_selector")) + " }}"
            for one in items_at(node.data, "variables")
        }
        made = template_of(text_at(node.data, "template"), read, known=known)
        return {"type": "template", "with": without_none({"template": made.text or " ", "vars": made.vars})}

    def _answer(self, node: DifyNode, read: Read) -> JsonObject:
        made = template_of(text_at(node.data, "answer"), read)
        return {"type": "template", "with": without_none({"template": made.text or " ", "vars": made.vars})}

    def _http(self, node: DifyNode, read: Read) -> JsonObject:
        config: dict[str, JsonValue] = {
            "method": text_at(node.data, "method").upper() or "GET",
            "url": mixed_text(text_at(node.data, "url"), read),
            "headers": self._pairs(get(node.data, "headers"), read),
            "query": self._pairs(get(node.data, "params"), read),
            "auth": self._authorization(node, read),
            **self._submitted(node, read),
        }
        limit = number_at(node.data, "timeout", "max_read_timeout") or number_at(node.data, "timeout", "read")
        step: dict[str, JsonValue] = {"type": "http", "with": without_none(config)}
        return {**step, "timeout": f"{int(limit)}s"} if limit else step

    def _pairs(self, node: YamlNode | None, read: Read) -> JsonObject:
        """`name:value` lines, or a list of keys and values."""
        found: dict[str, JsonValue] = {}
        for line in (node.text if isinstance(node, ScalarNode) else "").splitlines():
            name, colon, value = line.partition(":")
            if colon and name.strip():
                found[name.strip()] = mixed_text(value.strip(), read)
        for item in items_at(node):
            found[text_at(item, "key")] = mixed_text(text_at(item, "value"), read)
        return found

    def _authorization(self, node: DifyNode, read: Read) -> JsonValue:
        if text_at(node.data, "authorization", "type") in {"", "no-auth"}:
            return None
        kind = text_at(node.data, "authorization", "config", "type")
        at = get(node.data, "authorization") or node.data
        key = mixed_text(text_at(node.data, "authorization", "config", "api_key"), read)
        if kind != "bearer" or not key.startswith("${{"):
            self._draft.left_out(
                at, f"authorization of {node.title}", "store the key as a secret and name it in `auth`"
            )
            return None
        return {"bearer": key}

    def _submitted(self, node: DifyNode, read: Read) -> JsonObject:
        kind = text_at(node.data, "body", "type")
        parts = items_at(node.data, "body", "data")
        text = text_at(parts[0], "value") if parts else text_at(node.data, "body", "data")
        if kind in {"", "none"} or not text:
            return {}
        if kind == "json":
            body = json_body(text, read)
            return {"json": body} if body is not None else {"body": mixed_text(text, read)}
        if kind not in _SUBMITTED:
            self._draft.left_out(
                get(node.data, "body") or node.data, f"{kind} body of {node.title}", "only JSON and text are sent"
            )
            return {}
        return {"body": mixed_text(text, read)}

    def _classifier(self, node: DifyNode, read: Read) -> JsonObject:
        classes: dict[str, JsonValue] = {
            self._label(one): text_at(one, "name") for one in items_at(node.data, "classes")
        }
        instruction = get(node.data, "instruction")
        if text_at(node.data, "instruction"):
            self._draft.left_out(
                instruction or node.data, f"instruction of {node.title}", "the classes alone tell the model"
            )
        selector = texts_at(node.data, "query_variable_selector")
        config = {"model": self._model(node), "text": "${{ " + read(selector) + " }}", "classes": classes}
        return {"type": "classify", "with": config}

    def _label(self, one: YamlNode) -> str:
        given = text_at(one, "id")
        return identifier(f"class_{given}" if given[:1].isdigit() else given)

    def _extractor(self, node: DifyNode, read: Read) -> JsonObject:
        properties: dict[str, JsonValue] = {}
        required: list[JsonValue] = []
        for one in items_at(node.data, "parameters"):
            name, kind = text_at(one, "name"), text_at(one, "type")
            schema = {"type": "string"} if kind == "select" else schema_of_type(kind, self._draft, one)
            told = {"description": text_at(one, "description") or None, "enum": list(texts_at(one, "options"))}
            properties[name] = without_none({**schema, **told})
            required += [name] if flag_at(one, "required") else []
        config: dict[str, JsonValue] = {
            "model": self._model(node),
            "text": "${{ " + read(texts_at(node.data, "query")) + " }}",
            "instructions": text_at(node.data, "instruction") or None,
            "schema": {"type": "object", "properties": properties, "required": required},
        }
        return {"type": "extract", "with": {key: value for key, value in config.items() if value is not None}}

    def _aggregator(self, node: DifyNode, read: Read) -> JsonObject:
        def first(of: YamlNode) -> str:
            selectors = [
                [part.text for part in items_at(one) if isinstance(part, ScalarNode)]
                for one in items_at(of, "variables")
            ]
            return f"coalesce({', '.join(without_fallback(read(selector)) for selector in selectors)})"

        groups = items_at(node.data, "advanced_settings", "groups")
        values: dict[str, JsonValue] = {"output": first(node.data)}
        if flag_at(node.data, "advanced_settings", "group_enabled") and groups:
            values = {text_at(one, "group_name"): f'{{"output": {first(one)}}}' for one in groups}
        return {"type": "transform", "with": {"map": values}}

    def _retrieval(self, node: DifyNode, read: Read) -> JsonObject | None:
        if "retrieve" not in node_types():
            return None
        names = texts_at(node.data, "dataset_ids")
        at = get(node.data, "dataset_ids") or node.data
        index = identifier(names[0]) if names else "documents"
        self._draft.changed(at, f"knowledge of {node.title}", f"ingest its documents into the index {index}")
        query = "${{ " + read(texts_at(node.data, "query_variable_selector")) + " }}"
        most = number_at(node.data, "multiple_retrieval_config", "top_k")
        return {"type": "retrieve", "with": without_none({"index": index, "query": query, "top_k": most})}


def _prompt(messages: Sequence[JsonValue]) -> JsonObject:
    """`system` and `prompt` where that is all there is, else `messages`."""
    parts = [(str(one["role"]), one["content"]) for one in messages if isinstance(one, dict)]
    if [role for role, _ in parts] == ["system", "user"]:
        return {"system": parts[0][1], "prompt": parts[1][1]}
    if len(parts) == 1:
        return {"prompt": parts[0][1]}
    return {"messages": list(messages)}
