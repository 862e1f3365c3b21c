"""Small scenarios for tests of the simulator."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from bridge.simulation.scenario import Scenario

BRIDGE: dict[str, object] = {
    "providers": {"near": {}, "far": {}},
    "models": {
        "near/a": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "quality": 0.9},
        "far/b": {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 6.0, "quality": 0.95},
    },
    "aliases": {"app": {"candidates": ["near/a", "far/b"]}},
}
MODELS: dict[str, object] = {"near/a": {"quality": 0.8}, "far/b": {"quality": 0.95}}
TRAFFIC: dict[str, object] = {
    "calls": 40,
    "tasks": {"talk": {"prompt_tokens": {"median": 50}, "output_tokens": {"median": 20}}},
}


def raw_scenario(**changes: object) -> dict[str, object]:
    """The small scenario with some of its sections replaced."""
    raw: dict[str, object] = {
        "name": "small",
        "hours": 1,
        "seed": 5,
        "alias": "app",
        "policies": ["priority"],
        "bridge": deepcopy(BRIDGE),
        "world": {"models": deepcopy(MODELS)},
        "traffic": deepcopy(TRAFFIC),
    }
    return {**raw, **changes}


def scenario(*, events: Sequence[Mapping[str, object]] = (), **changes: object) -> Scenario:
    """The small scenario as a value, with events in its world."""
    raw = raw_scenario(**changes)
    if events:
        raw["world"] = {"models": MODELS, "events": events}
    return Scenario.model_validate(raw)
