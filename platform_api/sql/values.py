"""What databases give as JSON, and how much of it a step may take."""

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from nodes.errors import NodeError

MAX_BYTES = 10 * 1024 * 1024


class RowCollector:
    """Rows as maps; refuses more of them, or more bytes, than a step may take."""

    def __init__(self, columns: Sequence[str], *, max_rows: int, max_bytes: int = MAX_BYTES) -> None:
        twice = sorted({name for name in columns if list(columns).count(name) > 1})
        if twice:
            raise NodeError(f"sql: two columns are named {twice[0]!r}; name one with AS", error_class="invalid_request")
        self._columns = tuple(columns)
        self._max_rows = max_rows
        self._room = max_bytes
        self._max_bytes = max_bytes
        self.rows: list[JsonObject] = []

    def add(self, values: Sequence[Any]) -> None:
        """One more row. Raises NodeError."""
        if len(self.rows) >= self._max_rows:
            message = f"sql: more than {self._max_rows} rows; add LIMIT, or raise max_rows"
            raise NodeError(message, error_class="invalid_request")
        row: JsonObject = {name: as_json(value) for name, value in zip(self._columns, values, strict=True)}
        self._room -= len(json.dumps(row, ensure_ascii=False))
        if self._room < 0:
            message = f"sql: the rows are bigger than {self._max_bytes} bytes; read fewer, or fewer columns"
            raise NodeError(message, error_class="invalid_request")
        self.rows.append(row)


def as_json(value: Any) -> JsonValue:  # whatever a driver gives
    """Dates, times, decimals and UUIDs as text, binary as base64, what JSON has no number for as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(key): as_json(part) for key, part in cast("dict[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in cast("Sequence[Any]", value)]
    return next((write(value) for kind, write in _WRITERS if isinstance(value, kind)), str(value))


_WRITERS: tuple[tuple[type, Callable[[Any], JsonValue]], ...] = (
    (float, lambda value: value if math.isfinite(value) else None),
    (date, lambda value: value.isoformat()),
    (time, lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (bytes, lambda value: base64.b64encode(value).decode()),
)
