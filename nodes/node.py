"""The base of all node types and their registry.

A node instance is its validated `with:` block. The class gives everything the rest of the system needs to know:
JSON Schema of its configuration, of its output, a bound of its cost, a fake output, and `run`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, JsonValue, WithJsonSchema

from bridge.json_types import JsonObject
from nodes import registry
from nodes.context import NodeContext
from nodes.fakes import fake_value
from nodes.schemas import with_inlined_refs

OutputT = TypeVar("OutputT", bound=BaseModel)
NodeT = TypeVar("NodeT", bound="type[Node[Any]]")

AnyJson = Annotated[JsonValue, WithJsonSchema({})]
"""Any JSON in a node's block or output; its JSON Schema is `{}`."""


class NodeOutput(BaseModel):
    """Base of node outputs: frozen, and exactly what the schema says. A field named `json_value` is written `json`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


@dataclass(frozen=True, slots=True)
class ModelUse:
    """How much of a model one attempt of a node may use at most: for cost bounds before a run."""

    model: str
    max_input_bytes: int
    max_output_tokens: int
    calls: int = 1


class Block(BaseModel):
    """A map inside a `with:` block: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Node(BaseModel, Generic[OutputT]):
    """One node type. Fields are the `with:` block."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type_name: ClassVar[str] = ""
    """Set by `@node_type`."""
    output_type: ClassVar[type[BaseModel]] = NodeOutput
    is_replayable: ClassVar[bool] = True
    """False when running it costs money or has an effect: its outcome is committed before any dependent starts."""
    asks_models_only: ClassVar[bool] = False
    """True when all it has of the world are chat answers: over recorded ones it runs again, to the same output."""
    is_control: ClassVar[bool] = False
    """True for switch, foreach, loop, flow: the walker executes them, `run` is never called."""
    can_wait: ClassVar[bool] = False
    """True when `run` may raise StepWaits: the run is then put aside, and `run` is called again later."""
    late_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not rendered before the node runs: those whose texts are expressions which it evaluates itself
    (per item, per case; bare or in `${{ }}`), and, added by `@node_type`, its `template_fields` and
    `code_fields`."""
    template_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields holding Jinja text over `vars`, at any depth (`messages` is a list): checked by
    `nodes.template_text.check_template` at validation. No CEL stands in them and they are never rendered as
    expressions: no value can become part of a template."""
    code_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields holding code or SQL: never rendered, and an expression in one is a mistake. Values reach code as data."""
    secret_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields in which `secrets.NAME` may be read."""
    model_fields_of_use: ClassVar[tuple[str, ...]] = ()
    """Fields that name a model or alias: checked for existence at validation."""
    default_model: ClassVar[str | None] = None
    """What `model_fields_of_use` fall back to."""

    async def run(self, context: NodeContext) -> OutputT:
        """Do the work. Raises NodeError or a BridgeError; anything else is reported as `internal`."""
        raise NotImplementedError

    def secret_texts(self) -> tuple[str, ...]:
        """What this block makes of secrets beyond their values: hidden in what the step gives back, too."""
        return ()

    @classmethod
    def config_schema(cls) -> JsonObject:
        """JSON Schema of the `with:` block, without references."""
        return with_inlined_refs(cast("JsonObject", cls.model_json_schema(by_alias=True, mode="validation")))

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """JSON Schema of the output, given the unrendered `with:` block (expressions are still text in it)."""
        del raw
        return with_inlined_refs(cast("JsonObject", cls.output_type.model_json_schema(mode="serialization")))

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """Upper bounds of model use by one attempt, given the unrendered block. Empty: costs nothing."""
        del raw
        return ()

    @classmethod
    def is_replayable_with(cls, raw: JsonObject) -> bool:
        """`is_replayable` for this very block, where it depends on it."""
        del raw
        return cls.is_replayable

    @classmethod
    def fake(cls, raw: JsonObject) -> JsonObject:
        """A deterministic output that fits `output_schema(raw)`, for tests and mocks."""
        return cast("JsonObject", fake_value(cls.output_schema(raw)))


_registry: dict[str, type[Node[Any]]] = {}


def node_type(name: str) -> Callable[[NodeT], NodeT]:
    """Register a node class under the name flows use."""

    def register(cls: NodeT) -> NodeT:
        if name in _registry and _registry[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"node type {name!r} is already registered by {_registry[name].__qualname__}")
        cls.type_name = name
        cls.late_fields = cls.late_fields | cls.template_fields | cls.code_fields
        _registry[name] = cls
        return cls

    return register


def node_types() -> Mapping[str, type[Node[Any]]]:
    """All registered types by name, the built-in ones and those of installed packages."""
    registry.load_all()
    return dict(sorted(_registry.items()))
