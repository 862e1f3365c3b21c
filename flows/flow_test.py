"""One test of a flow as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.json_types import JsonObject, JsonValue
from flows.plan import Position


@dataclass(frozen=True, slots=True)
class FlowTest:
    """One test. `mocks` are whole outputs by step, a list holds one for each item or pass."""

    name: str
    inputs: JsonObject = field(default_factory=dict[str, JsonValue])
    mocks: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    expect: JsonObject = field(default_factory=dict[str, JsonValue])
    position: Position = field(default_factory=lambda: Position(0, 0))
