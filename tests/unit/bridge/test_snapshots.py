import random
from datetime import UTC, date, datetime

from bridge.call_record import CallContext
from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, Message
from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.decision import Snapshot
from bridge.learning.quality import PriorQuality
from bridge.reliability.health_book import HealthBook
from bridge.routing.intents import Intents
from bridge.routing.observed_usage import ObservedUsage
from bridge.routing.policy import decide
from bridge.routing.questions import Questions, RequestFacts
from bridge.snapshots import Snapshots, Sources

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CONTEXT = CallContext(org_id="acme")
REQUEST = ChatRequest("x", (Message.of("user", "hello"),))
CONFIG = BridgeConfig.parse(
    {
        "providers": {"mock": {}},
        "models": {"mock/a": {"quality": 0.7}},
        "aliases": {"x": {"candidates": ["mock/a", "mock/b"], "learned_weights": True}},
    }
)


class FullAt:
    """A RoomSource in which one deployment has no room."""

    def __init__(self, name: str) -> None:
        self._name = name

    def wait_s(self, deployment: str, tokens: int, now_s: float) -> float:
        return 4.0 if deployment == self._name else 0.0


class World:
    """Snapshots of one alias, and what they are taken from."""

    def __init__(self, room: FullAt | None = None) -> None:
        self.clock = FrozenClock(NOW)
        self.health = HealthBook(CONFIG.breaker, random.Random(1))
        self._snapshots = Snapshots(Sources(self.health, PriorQuality(), ObservedUsage(), Intents(), self.clock, room))
        self.route: Route = Aliases(
            CONFIG, ModelCatalog(CONFIG, today=date(2026, 11, 24)), Deployments(CONFIG)
        ).resolve("x")
        facts = RequestFacts("task", False, False, None, NOW)
        self.question = Questions(Prices(), CONFIG.defaults).ask(REQUEST, self.route, facts)

    def take(self) -> Snapshot:
        return self._snapshots.take(self.route, self.question, REQUEST, CONTEXT)


def test_turns_are_counted() -> None:
    world = World()

    assert [world.take().turn for _ in range(3)] == [0, 1, 2]


def test_quality_is_that_of_the_models_somebody_knows() -> None:
    assert {name: known.mean for name, known in World().take().quality.items()} == {"mock/a": 0.7}


def test_health_and_learned_weights_are_those_of_now() -> None:
    world = World()
    world.health.begin("mock/a", 0.0)
    snapshot = world.take()

    assert snapshot.deployments["mock/a"].in_flight == 1
    assert "mock/b" not in snapshot.deployments
    assert snapshot.weights == {"mock/a": 1.0, "mock/b": 1.0}


def test_what_has_no_room_is_left_alone_until_it_has() -> None:
    world = World(FullAt("mock/a"))
    decision = decide(world.question, world.take(), seed=1)

    assert decision.attempts == ("mock/b",)
    assert decision.dropped == {"mock/a": "rate limit reached, room in 4.0 s"}
