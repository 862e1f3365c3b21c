"""How a deployment is at a moment: what its events make of it."""

import bisect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.simulation.scenario import EventKind, ServedModel, World, WorldEvent


@dataclass(frozen=True, slots=True)
class Condition:
    """How one deployment is between two changes."""

    status: int | None = None
    """Every call is answered with this status."""
    is_refused: bool = False
    is_silent: bool = False
    brown_out_share: float = 0.0
    brown_out_status: int = 503
    cut_share: float = 0.0
    """Share of streams that end before the answer does."""
    slowness: float = 1.0
    requests_per_minute: float | None = None

    @property
    def is_up(self) -> bool:
        """Can it answer at all?"""
        return self.status is None and not self.is_refused and not self.is_silent


FINE = Condition()


class Conditions:
    """The condition of every deployment over time. Deployments are known by name or by their model's name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._timelines: dict[str, tuple[list[float], list[Condition]]] = {}

    def served(self, deployment: str) -> ServedModel:
        """How the deployment's model is on a good day."""
        return self._world.models[model_of(deployment)]

    def quality(self, deployment: str, task: str) -> float:
        """Its true quality at a task."""
        served = self.served(deployment)
        return served.quality_at.get(task, served.quality)

    def at(self, deployment: str, at_s: float) -> Condition:
        """How it is at a moment."""
        changes, conditions = self._timeline(deployment)
        return conditions[bisect.bisect_right(changes, at_s)]

    def changes(self, deployment: str) -> list[float]:
        """Seconds of the scenario at which its condition changes, sorted."""
        return self._timeline(deployment)[0]

    def _timeline(self, deployment: str) -> tuple[list[float], list[Condition]]:
        timeline = self._timelines.get(deployment)
        if timeline is None:
            timeline = self._timelines[deployment] = _timeline(events_at(self._world.events, deployment))
        return timeline


def model_of(deployment: str) -> str:
    """The model's name: the deployment's without its site."""
    return deployment.partition("@")[0]


def events_at(events: Iterable[WorldEvent], deployment: str) -> list[WorldEvent]:
    """The events that hit a deployment, through its provider, its model or itself."""
    model = model_of(deployment)
    places = {deployment, model, model.partition("/")[0]}
    return [event for event in events if event.where in places]


def unknown_places(world: World, providers: Mapping[str, object]) -> list[str]:
    """Places of events that are no provider and no model of the world."""
    known = {*providers, *world.models}
    return [event.where for event in world.events if model_of(event.where) not in known]


def _timeline(events: list[WorldEvent]) -> tuple[list[float], list[Condition]]:
    """The moments of change, and the condition before the first, between them, and after the last."""
    relevant = [event for event in events if event.kind != "price"]
    changes = sorted({moment for event in relevant for moment in (event.from_s, event.until_s)})
    return changes, [_joint(relevant, moment) for moment in (float("-inf"), *changes)]


def _joint(events: list[WorldEvent], at_s: float) -> Condition:
    """What the events that are under way make together. The later one in the scenario wins where two meet."""
    condition = FINE
    for event in events:
        if event.from_s <= at_s < event.until_s:
            condition = _changed(condition, event)
    return condition


def _changed(condition: Condition, event: WorldEvent) -> Condition:
    """The condition with one more event on it."""
    share = event.share or 0.0
    changes: dict[EventKind, Callable[[], Condition]] = {
        "outage": lambda: replace(condition, status=event.status),
        "refused": lambda: replace(condition, is_refused=True),
        "silent": lambda: replace(condition, is_silent=True),
        "brown_out": lambda: replace(condition, brown_out_share=share, brown_out_status=event.status),
        "slow_down": lambda: replace(condition, slowness=condition.slowness * (event.factor or 1.0)),
        "cut_streams": lambda: replace(condition, cut_share=share),
        "rate_limit": lambda: replace(condition, requests_per_minute=event.requests_per_minute),
        "price": lambda: condition,
    }
    return changes[event.kind]()
