"""JSON as Python values: the type of everything that crosses a wire, a file or a step boundary."""

from collections.abc import Mapping, Sequence

JsonValue = str | int | float | bool | None | Mapping[str, "JsonValue"] | Sequence["JsonValue"]
JsonObject = Mapping[str, JsonValue]
