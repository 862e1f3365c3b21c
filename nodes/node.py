"""The base of all node types and their registry.

A node instance is its validated `with:` block. The class gives everything the rest of the system needs to know:
JSON Schema of its configuration, of its output, a bound of its cost, a fake output, and `run`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from bridge.json_types import JsonObject
from nodes.context import NodeContext

OutputT = TypeVar("OutputT", bound=BaseModel)
NodeT = TypeVar("NodeT", bound="type[Node[Any]]")


class NodeOutput(BaseModel):
    """Base of node outputs: frozen, and exactly what the schema says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ModelUse:
    """How much of a model one attempt of a node may use at most: for cost bounds before a run."""

    model: str
    max_input_bytes: int
    max_output_tokens: int
    calls: int = 1


class Node(BaseModel, Generic[OutputT]):
    """One node type. Fields are the `with:` block."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type_name: ClassVar[str] = ""
    """Set by `@node_type`."""
    output_type: ClassVar[type[BaseModel]] = NodeOutput
    is_replayable: ClassVar[bool] = True
    """False when running it costs money or has an effect: its outcome is committed before any dependent starts."""
    is_control: ClassVar[bool] = False
    """True for switch, foreach, loop, flow: the walker executes them, `run` is never called."""
    late_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields whose expressions the node evaluates itself (per item, per case): not rendered before it runs."""
    template_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields holding Jinja text over `vars`: checked for undefined names at validation."""
    model_fields_of_use: ClassVar[tuple[str, ...]] = ()
    """Fields that name a model or alias: checked for existence at validation."""
    default_model: ClassVar[str | None] = None

    async def run(self, context: NodeContext) -> OutputT:
        """Do the work. Raises NodeError or a BridgeError; anything else is reported as `internal`."""
        raise NotImplementedError

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """JSON Schema of the output, given the unrendered `with:` block (expressions are still text in it)."""
        del raw
        return cast("JsonObject", cls.output_type.model_json_schema(mode="serialization"))

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """Upper bounds of model use by one attempt, given the unrendered block. Empty: costs nothing."""
        del raw
        return ()

    @classmethod
    def fake(cls, raw: JsonObject) -> JsonObject:
        """A deterministic output that fits `output_schema(raw)`, for tests and mocks."""
        from nodes.fakes import fake_value

        return cast("JsonObject", fake_value(cls.output_schema(raw)))


_registry: dict[str, type[Node[Any]]] = {}


def node_type(name: str) -> Callable[[NodeT], NodeT]:
    """Register a node class under the name flows use."""

    def register(cls: NodeT) -> NodeT:
        if name in _registry and _registry[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"node type {name!r} is already registered by {_registry[name].__qualname__}")
        cls.type_name = name
        _registry[name] = cls
        return cls

    return register


def node_types() -> Mapping[str, type[Node[Any]]]:
    """All registered types by name, the built-in ones and those of installed packages."""
    from nodes import registry

    registry.load_all()
    return dict(sorted(_registry.items()))
