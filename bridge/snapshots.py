"""Gathers what is known at this moment into the Snapshot that `decide()` works on."""

from dataclasses import dataclass
from typing import Protocol

from bridge.call_record import CallContext
from bridge.catalog.aliases import Route
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.decision import DeploymentState, QualityEstimate, RoutingQuestion, Snapshot
from bridge.learning.quality import QualitySource
from bridge.reliability.health_book import HealthBook
from bridge.routing.intents import Intents
from bridge.routing.observed_usage import ObservedUsage
from bridge.routing.weights import weights_now

UNKNOWN_STATE = DeploymentState()


class RoomSource(Protocol):
    """Who knows what a deployment's rate limits leave; of a throttle, the part that takes nothing."""

    def wait_s(self, deployment: str, tokens: int, now_s: float) -> float:
        """Seconds until a call of so many tokens has room there; 0: now."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the facts come from."""

    health: HealthBook
    quality: QualitySource
    usage: ObservedUsage
    intents: Intents
    clock: Clock
    throttle: RoomSource | None = None


class Snapshots:
    """Takes Snapshots. One for a bridge: it counts the turns of every alias."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._turns: dict[str, int] = {}

    def take(
        self,
        route: Route,
        question: RoutingQuestion,
        request: ChatRequest,
        context: CallContext,
        *,
        bound_to: str | None = None,
    ) -> Snapshot:
        """The world as it is now, for one call. Counts as a turn. `bound_to` is where its conversation is cached."""
        sources = self._sources
        turn = self._turns[route.requested] = self._turns.get(route.requested, -1) + 1
        states = self._states(question)
        rules = route.rules
        similarity: dict[str, float] = {}
        if rules is not None and route.policy == "semantic":
            similarity = sources.intents.similarity(route.requested, rules, request)
        return Snapshot(
            deployments=states,
            quality=self._quality(route, question, context),
            turn=turn,
            weights=weights_now(route, states, sources.clock.now()),
            bound_to=bound_to,
            similarity=similarity,
        )

    def _states(self, question: RoutingQuestion) -> dict[str, DeploymentState]:
        sources = self._sources
        now_s = sources.clock.monotonic()
        names = [offer.deployment for offer in question.offers if offer.off_reason is None]
        states = sources.health.states(names, now_s)
        told = {name: sources.usage.told(name, question.task, state) for name, state in states.items()}
        if sources.throttle is not None:
            tokens = question.input_tokens + question.output_tokens
            for name in names:
                wait_s = sources.throttle.wait_s(name, tokens, now_s)
                if wait_s > 0:
                    told[name] = told.get(name, UNKNOWN_STATE).waiting(wait_s)
        return told

    def _quality(self, route: Route, question: RoutingQuestion, context: CallContext) -> dict[str, QualityEstimate]:
        quality: dict[str, QualityEstimate] = {}
        for options in (route.candidates, route.fallback):
            for option in options:
                estimate = self._sources.quality.estimate(context.org_id, question.task, option.entry)
                if estimate is not None:
                    quality[option.entry.name] = estimate
        return quality
