"""Reshape values by expressions: a map of them, or a list that is filtered, sorted, cut and mapped."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, RootModel, model_validator

from bridge.json_types import JsonObject, JsonValue
from nodes.context import NodeContext
from nodes.errors import InvalidInputError
from nodes.node import AnyJson, Block, Node, node_type
from nodes.schemas import object_schema

MAX_ITEMS = 10_000
ITEMS_PER_TURN = 50
"""Items evaluated before other tasks get a turn."""

Expression = str
Expressions = dict[str, Expression]


class SortRule(Block):
    """One sort key."""

    by: Expression = Field(description="Expression over `item` and `index`.")
    order: Literal["asc", "desc"] = "asc"


class TransformOutput(RootModel[AnyJson]):
    """The map, or the list."""


@node_type("transform")
class TransformNode(Node[TransformOutput]):
    """Make a map from expressions, or work over a list: keep (`where`), sort, cut (`limit`), reshape (`select`).

    The steps are taken in that order. All of them see `item` and `index`, the item's place in the list as given.
    """

    output_type = TransformOutput
    late_fields: ClassVar[frozenset[str]] = frozenset({"map", "where", "sort", "select"})

    map_: Expressions | None = Field(default=None, alias="map", description="Name -> expression: the output.")
    items: list[AnyJson] | None = Field(default=None, description="The list to work over.")
    where: Expression | bool | None = Field(default=None, description="Kept when true.")
    sort: Expression | SortRule | list[SortRule] | None = Field(
        default=None, description="What to sort by: numbers, texts or booleans; null comes last."
    )
    limit: Annotated[int, Field(ge=0)] | None = Field(default=None, description="At most so many items.")
    select: Expression | Expressions | None = Field(default=None, description="What becomes of each item.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.map_ is None) == (self.items is None):
            raise ValueError("give either map or items")
        if self.map_ is not None and any(part is not None for part in (self.where, self.sort, self.limit, self.select)):
            raise ValueError("where, sort, limit and select go with items, not with map")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """An object with the names of `map`, or a list whose elements have those of `select`."""
        if "map" in raw:
            return _named(raw["map"])
        select = raw.get("select")
        element: JsonObject = _named(select) if isinstance(select, Mapping) else {}
        limit = raw.get("limit")
        most: JsonObject = {"maxItems": limit} if isinstance(limit, int) else {}
        return {"type": "array", "items": element, **most}

    async def run(self, context: NodeContext) -> TransformOutput:
        """Evaluate. Raises ExpressionError, InvalidInputError."""
        if self.map_ is not None:
            made: JsonValue = {name: context.evaluate(text) for name, text in self.map_.items()}
        else:
            made = await self._listed(context)
        return TransformOutput.model_validate(made)

    async def _listed(self, context: NodeContext) -> list[JsonValue]:
        items = cast("list[JsonValue]", self.items)
        if len(items) > MAX_ITEMS:
            raise InvalidInputError(f"items has {len(items)} elements; transform takes at most {MAX_ITEMS}")
        kept: list[tuple[JsonValue, int]] = []
        for index, item in enumerate(items):
            await _take_turns(index)
            if self._is_kept(context, item, index):
                kept.append((item, index))
        kept = await self._sorted(context, kept)
        if self.limit is not None:
            kept = kept[: self.limit]
        made: list[JsonValue] = []
        for item, index in kept:
            await _take_turns(len(made))
            made.append(self._selected(context, item, index))
        return made

    def _is_kept(self, context: NodeContext, item: JsonValue, index: int) -> bool:
        if self.where is None or isinstance(self.where, bool):
            return self.where is not False
        holds = context.evaluate(self.where, {"item": item, "index": index})
        if not isinstance(holds, bool):
            raise InvalidInputError(f"where must give true or false, for item {index} it gives {holds!r}")
        return holds

    async def _sorted(self, context: NodeContext, kept: list[tuple[JsonValue, int]]) -> list[tuple[JsonValue, int]]:
        rules = [SortRule(by=self.sort)] if isinstance(self.sort, str) else self.sort or []
        for rule in reversed(rules if isinstance(rules, list) else [rules]):
            keyed: list[tuple[JsonValue, tuple[JsonValue, int]]] = []
            for item, index in kept:
                await _take_turns(len(keyed))
                keyed.append((context.evaluate(rule.by, {"item": item, "index": index}), (item, index)))
            known = [pair for pair in keyed if pair[0] is not None]
            known.sort(key=cmp_to_key(lambda a, b: _compared(a[0], b[0])), reverse=rule.order == "desc")
            kept = [place for _, place in known] + [place for key, place in keyed if key is None]
        return kept

    def _selected(self, context: NodeContext, item: JsonValue, index: int) -> JsonValue:
        names: JsonObject = {"item": item, "index": index}
        if self.select is None:
            return item
        if isinstance(self.select, str):
            return context.evaluate(self.select, names)
        return {name: context.evaluate(text, names) for name, text in self.select.items()}


async def _take_turns(index: int) -> None:
    if index and index % ITEMS_PER_TURN == 0:
        await asyncio.sleep(0)


def _compared(first: JsonValue, second: JsonValue) -> int:
    """-1, 0 or 1. Raises InvalidInputError for values that have no order between them."""
    if isinstance(first, str) and isinstance(second, str):
        return (first > second) - (first < second)
    are_alike = isinstance(first, bool) == isinstance(second, bool)
    if are_alike and isinstance(first, int | float) and isinstance(second, int | float):
        if math.isnan(first) or math.isnan(second):
            raise InvalidInputError("sort cannot compare NaN")
        return (first > second) - (first < second)
    raise InvalidInputError(f"sort cannot compare {_kind(first)} with {_kind(second)}")


def _kind(value: JsonValue) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a map"
    return "a list" if isinstance(value, Sequence) else str(type(value).__name__)


def _named(names: JsonValue) -> JsonObject:
    return object_schema({name: {} for name in names}) if isinstance(names, Mapping) else {"type": "object"}
