"""Flows built in Python: the twin of the YAML, and YAML again with every untouched line as it was.

    flow = FlowBuilder("support")
    ticket = flow.input("ticket", type="string", minLength=1)
    intent = flow.step("intent", "classify", {"text": ticket, "classes": {"billing": "invoices", "other": "the rest"}})
    flow.step("page", "noop", when=intent.output.label == "other")
    flow.output("label", intent.output.label)
    print(flow.to_yaml())

`FlowBuilder.from_yaml(text).to_yaml()` is `text`, byte for byte, and so has the same version hash.
"""

from collections.abc import Mapping
from typing import Any

from bridge.json_types import JsonValue
from flows.builder_document import Path, remove_value, set_value, value_at
from flows.builder_expressions import Expr
from flows.builder_values import to_yaml_value, write_entry
from flows.diagnostics import Checked
from flows.errors import InvalidFlowError
from flows.plan import Plan
from flows.validate import check
from flows.validate_nodes import ModelNames

Values = Mapping[str, object]


class FlowBuilder:
    """One flow document that is being written. Each method changes it at once and keeps its comments.

    Methods take JSON values with expressions (`flows.builder_expressions.Expr`) anywhere in them. What is put together
    is checked as a whole by `check`, as a document is.
    """

    def __init__(self, name: str, *, description: str | None = None, text: str | None = None) -> None:
        """A new flow; with `text`, the document to go on with."""
        told = {} if description is None else {"description": to_yaml_value(description)}
        self._text = text if text is not None else write_entry({"flow": to_yaml_value(name), "spec": "1", **told})

    @classmethod
    def from_yaml(cls, text: str) -> "FlowBuilder":
        """A builder of an existing document. Raises InvalidFlowError when it is no YAML map."""
        root = value_at(text, ())
        assert isinstance(root, Mapping)
        return cls(str(root.get("flow", "")), text=text)

    def to_yaml(self) -> str:
        """The document."""
        return self._text

    def check(self, catalog: ModelNames) -> Checked:
        """Every problem of the document, and its plan when there is none."""
        return check(self._text, file="builder", catalog=catalog)

    def plan(self, catalog: ModelNames) -> Plan:
        """The compiled flow. Raises InvalidFlowError with every problem."""
        checked = self.check(catalog)
        if checked.plan is None:
            raise InvalidFlowError(checked.diagnostics)
        return checked.plan

    # any value

    def set(self, path: str | Path, value: object) -> None:
        """Put a value at `nodes.draft.with.model`, or at a path of keys and indexes; what stood there goes.

        Raises:
            KeyError: The path leads through something that is neither map nor list.
            TypeError, ValueError: `value` is no JSON value.
        """
        is_crlf = "\r\n" in self._text
        text = set_value(self._text, _path(path), value)
        self._text = text.replace("\n", "\r\n") if is_crlf else text

    def get(self, path: str | Path) -> JsonValue:
        """What stands at a path: numbers and booleans where their spelling says so. KeyError when nothing does."""
        return value_at(self._text, _path(path))

    def remove(self, path: str | Path) -> None:
        """Take a value away, with the comment right above it. KeyError when nothing stands there."""
        is_crlf = "\r\n" in self._text
        text = remove_value(self._text, _path(path))
        self._text = text.replace("\n", "\r\n") if is_crlf else text

    # the parts of a flow

    def input(self, name: str, **schema: object) -> Expr:
        """Declare an input by JSON Schema keywords, `default` among them; answers the expression that reads it."""
        self.set(("inputs", name), schema)
        return Expr(f"inputs.{name}", strength=10)

    def step(self, step_id: str, kind: str, config: Values | None = None, /, **modifiers: object) -> Expr:
        """Add a step, or replace the one of that id; answers `nodes.<id>`, to be read as `.output.text`.

        `config` is its `with:` block, `modifiers` are its other keys: needs, join, when, foreach, retry, on_error, ...
        """
        self.set(("nodes", step_id), step(kind, config, **modifiers))
        return Expr(f"nodes.{step_id}", strength=10)

    def output(self, name: str, value: object) -> None:
        """Give the flow an output."""
        self.set(("outputs", name), value)

    def budget(self, usd: float, *, on_exceed: str = "stop") -> None:
        """The ceiling of one run, in US dollars."""
        self.set(("budget",), {"usd": usd, "on_exceed": on_exceed})

    def trigger(self, trigger_id: str, kind: str, /, **keys: object) -> None:
        """Add a trigger: schedule, webhook, event or run_completed."""
        self._append("triggers", {"id": trigger_id, "type": kind, **keys})

    def on_failure(self, step_id: str, kind: str, config: Values | None = None, /, **modifiers: object) -> None:
        """Add a step that runs once when a run fails."""
        self._append("on_failure", {"id": step_id, **step(kind, config, **modifiers)})

    def finally_(self, step_id: str, kind: str, config: Values | None = None, /, **modifiers: object) -> None:
        """Add a step that runs at the end of every run."""
        self._append("finally", {"id": step_id, **step(kind, config, **modifiers)})

    def test(self, name: str, **parts: object) -> None:
        """Add a test: inputs, mock, expect."""
        self._append("tests", {"name": name, **parts})

    def _append(self, section: str, entry: Values) -> None:
        try:
            present = self.get(section)
        except KeyError:
            present = None
        if isinstance(present, list) and present:
            self.set((section, len(present)), entry)
        else:
            self.set((section,), [entry])


def step(kind: str, config: Values | None = None, /, **modifiers: object) -> dict[str, Any]:
    """A step by itself, as the body of a loop has it.

    `{"items": [1, 2], "do": {"say": step("template", {"template": "x"})}}`
    """
    block = {} if config is None else {"with": config}
    when = modifiers.pop("when", None)
    condition = {} if when is None else {"when": when}
    return {"type": kind, **condition, **block, **modifiers}


def _path(path: str | Path) -> Path:
    return path.split(".") if isinstance(path, str) else path
