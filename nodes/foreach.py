"""A sub-graph per item. The walker runs the body; this holds its schema."""

from typing import ClassVar, Literal

from pydantic import Field

from bridge.json_types import JsonObject
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.schemas import object_schema

MAX_PARALLEL = 1_000
MAX_ITEMS = 100_000


class ItemError(NodeOutput):
    """An item that was lost through `continue` or `drop`."""

    index: int = Field(ge=0)
    error_class: str = Field(alias="class")
    message: str


class ForeachOutput(NodeOutput):
    """Results in the order of the items; null where an item failed under `continue`."""

    results: list[AnyJson]
    errors: list[ItemError]


@node_type("foreach")
class ForeachNode(Node[ForeachOutput]):
    """Run the steps of `do` once per item; the output of the body's one final step is the item's result."""

    output_type = ForeachOutput
    is_control = True
    late_fields: ClassVar[frozenset[str]] = frozenset({"do"})

    items: list[AnyJson] | str = Field(description="The list, or an expression that gives it.")
    do: dict[str, AnyJson] = Field(min_length=1, description="The steps of the body, by id, as under `nodes`.")
    name: str = Field(default="item", alias="as", description="What the item is called in the body's expressions.")
    max_parallel: int = Field(default=10, ge=1, le=MAX_PARALLEL)
    on_item_error: Literal["fail", "continue", "drop"] = "fail"
    max_items: int = Field(default=1_000, ge=1, le=MAX_ITEMS, description="Checked before any item runs.")

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """`results` of anything: what the body's final step gives is known to the compiler."""
        del raw
        error = object_schema(
            {"index": {"type": "integer", "minimum": 0}, "class": {"type": "string"}, "message": {"type": "string"}}
        )
        return object_schema({"results": {"type": "array", "items": {}}, "errors": {"type": "array", "items": error}})
