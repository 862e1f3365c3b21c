"""From a request to a Decision on the state of this moment, and what the answer teaches for the next one."""

import random
from dataclasses import dataclass

from bridge.call_log import CallLog
from bridge.call_record import CallContext, CallKind
from bridge.catalog.aliases import Route
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.config import BridgeConfig
from bridge.decision import Decision
from bridge.identifiers import NewId
from bridge.learning.quality import QualitySource
from bridge.reliability.health_book import HealthBook
from bridge.routing.affinity import Affinity, conversation_of
from bridge.routing.intents import Intents
from bridge.routing.observed_usage import ObservedUsage
from bridge.routing.policy import decide
from bridge.routing.questions import Questions, RequestFacts
from bridge.snapshots import RoomSource, Snapshots, Sources
from bridge.state_store import MemoryStateStore, StateStore

SEED_BITS = 48


@dataclass(frozen=True, slots=True)
class RouterParts:
    """What the router knows the world by."""

    config: BridgeConfig
    prices: Prices
    health: HealthBook
    quality: QualitySource
    clock: Clock
    new_id: NewId
    rng: random.Random
    state: StateStore | None = None
    """Holds bindings of conversations; None: this process's memory."""
    throttle: RoomSource | None = None


class Router:
    """Decides about calls. One for a bridge."""

    def __init__(self, parts: RouterParts) -> None:
        self._parts = parts
        self._usage = ObservedUsage()
        self._questions = Questions(parts.prices, parts.config.defaults)
        intents = Intents()
        for name, rules in parts.config.aliases.items():
            if rules.policy == "semantic":
                intents.examples_of(name, rules)  # loads the embedder now, not under the first call
        self._snapshots = Snapshots(
            Sources(parts.health, parts.quality, self._usage, intents, parts.clock, parts.throttle)
        )
        self._affinity = Affinity(parts.state or MemoryStateStore(parts.clock))

    async def bound_to(self, route: Route, request: ChatRequest, context: CallContext) -> str | None:
        """The deployment that the conversation stays at."""
        return await self._affinity.find(route, request, context)

    def decided(
        self,
        request: ChatRequest,
        context: CallContext,
        route: Route,
        *,
        is_stream: bool,
        is_budgeted: bool,
        bound_to: str | None = None,
        kind: CallKind = "chat",
    ) -> Decision:
        """The decision on the state of this moment."""
        parts = self._parts
        task = context.task or route.requested
        facts = RequestFacts(
            task,
            is_stream,
            is_budgeted,
            request.max_output_tokens,
            parts.clock.now(),
            expected_output_tokens=self._usage.output_tokens(task),
            allowed_models=context.allowed_models,
            unit=unit_of(route, request, context),
            kind=kind,
        )
        question = self._questions.ask(request, route, facts)
        snapshot = self._snapshots.take(route, question, request, context, bound_to=bound_to)
        return decide(question, snapshot, seed=parts.rng.getrandbits(SEED_BITS), decision_id=parts.new_id())

    async def answered(self, route: Route, log: CallLog) -> None:
        """Learn from the attempt that answered, and bind its conversation."""
        last = log.attempts[-1] if log.attempts else None
        if last is None or log.decision is None or last.outcome != "succeeded":
            return
        if last.usage is not None:
            self._usage.add(last.deployment, log.decision.task, last.usage)
        await self._affinity.bind(route, log.request, log.context, log.decision, last.deployment)


def unit_of(route: Route, request: ChatRequest, context: CallContext) -> str | None:
    """What the alias's experiment assigns; None where the context does not name it: then every request by itself."""
    experiment = route.rules.experiment if route.rules is not None else None
    if experiment is None:
        return None
    match experiment.unit:
        case "user":
            return context.user_id
        case "key":
            return context.key_id
        case "conversation":
            return conversation_of(request, context)
        case "request":
            return None
