"""Gathers what is known at this moment into the Snapshot that `decide()` works on."""

from bridge.call_record import CallContext
from bridge.catalog.aliases import Route
from bridge.clock import Clock
from bridge.decision import QualityEstimate, Snapshot
from bridge.learning.quality import QualitySource
from bridge.reliability.health_book import HealthBook


class Snapshots:
    """Takes Snapshots. One for a bridge: it counts the turns of every alias."""

    def __init__(self, health: HealthBook, quality: QualitySource, clock: Clock) -> None:
        self._health = health
        self._quality = quality
        self._clock = clock
        self._turns: dict[str, int] = {}

    def take(self, route: Route, context: CallContext, task: str) -> Snapshot:
        """The world as it is now, for one call of `route`. Counts as a turn."""
        turn = self._turns[route.requested] = self._turns.get(route.requested, -1) + 1
        quality: dict[str, QualityEstimate] = {}
        for option in (*route.candidates, *route.fallback):
            estimate = self._quality.estimate(context.org_id, task, option.entry)
            if estimate is not None:
                quality[option.entry.name] = estimate
        states = self._health.states(route.deployments(), self._clock.monotonic())
        return Snapshot(deployments=states, quality=quality, turn=turn)
