"""A sub-graph again and again, over a state. The walker runs the body; this holds its schema."""

from typing import ClassVar, Literal

from pydantic import Field

from bridge.json_types import JsonObject
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.schemas import object_schema

MAX_PASSES = 1_000


class LoopOutput(NodeOutput):
    """The state after the last pass, and how many passes there were."""

    state: dict[str, AnyJson]
    iterations: int = Field(ge=1)


@node_type("loop")
class LoopNode(Node[LoopOutput]):
    """Run the steps of `do` until `until` holds; the map that the body's final step gives replaces `state` values."""

    output_type = LoopOutput
    is_control = True
    late_fields: ClassVar[frozenset[str]] = frozenset({"do", "until"})

    state: dict[str, AnyJson] = Field(
        default_factory=dict, description="The first values; the body reads `state.NAME`. Their types never change."
    )
    do: dict[str, AnyJson] = Field(min_length=1, description="The steps of the body, by id, as under `nodes`.")
    until: str | bool = Field(description="Expression over `state`, evaluated after every pass; true ends the loop.")
    max: int | str = Field(description=f"The most passes, 1 to {MAX_PASSES}: a number, or an input with a `maximum`.")
    on_max: Literal["fail", "continue"] = Field(
        default="fail", description="What happens when `max` passes were not enough."
    )

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """`state` of anything: the types of its values are known to the compiler."""
        del raw
        return object_schema({"state": {"type": "object"}, "iterations": {"type": "integer", "minimum": 1}})
