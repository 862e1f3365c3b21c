from datetime import UTC, date, datetime

import pytest

from bridge.call_record import CallContext
from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.chat import ChatRequest, Message
from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.decision import Decision, Snapshot
from bridge.routing.affinity import Affinity, conversation_of
from bridge.routing.policy import decide
from bridge.state_store import MemoryStateStore
from tests.support.offers import offer, question

ACME = CallContext(org_id="acme")
FIRST = ChatRequest("x", (Message.of("system", "Be kind."), Message.of("user", "Hello")))
LATER = ChatRequest("x", (*FIRST.messages, Message.of("assistant", "Hi"), Message.of("user", "Go on")))


def route(**rules: object) -> Route:
    config = BridgeConfig.parse({"providers": {"mock": {}}, "aliases": {"x": {"candidates": ["mock/a"], **rules}}})
    return Aliases(config, ModelCatalog(config, today=date(2026, 11, 24)), Deployments(config)).resolve("x")


def decision(*, read_usd: float) -> Decision:
    offers = [
        offer(name, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0, cache_read_usd_per_mtok=read_usd) for name in "ab"
    ]
    return decide(question(*offers), Snapshot(), seed=1)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def affinity(clock: FrozenClock) -> Affinity:
    return Affinity(MemoryStateStore(clock))


STICKY = route(affinity={"ttl_s": 3600})


async def test_a_later_turn_goes_where_the_first_was_answered(affinity: Affinity) -> None:
    await affinity.bind(STICKY, FIRST, ACME, decision(read_usd=0.1), "p/b")

    assert await affinity.find(STICKY, LATER, ACME) == "p/b"


async def test_a_binding_ends_with_its_time(affinity: Affinity, clock: FrozenClock) -> None:
    await affinity.bind(STICKY, FIRST, ACME, decision(read_usd=0.1), "p/b")
    clock.advance(3601)

    assert await affinity.find(STICKY, LATER, ACME) is None


async def test_nobody_is_bound_where_a_cached_prompt_costs_as_much(affinity: Affinity) -> None:
    await affinity.bind(STICKY, FIRST, ACME, decision(read_usd=1.0), "p/b")

    assert await affinity.find(STICKY, LATER, ACME) is None


async def test_tenants_and_other_conversations_are_kept_apart(affinity: Affinity) -> None:
    await affinity.bind(STICKY, FIRST, ACME, decision(read_usd=0.1), "p/b")
    other = ChatRequest("x", (Message.of("system", "Be kind."), Message.of("user", "Good morning")))

    assert await affinity.find(STICKY, LATER, CallContext(org_id="other")) is None
    assert await affinity.find(STICKY, other, ACME) is None


async def test_an_alias_without_affinity_binds_nobody(affinity: Affinity) -> None:
    await affinity.bind(route(), FIRST, ACME, decision(read_usd=0.1), "p/b")

    assert await affinity.find(STICKY, FIRST, ACME) is None


def test_a_conversation_is_its_name_or_its_beginning() -> None:
    assert conversation_of(FIRST, CallContext(org_id="acme", conversation="c-1")) == "c-1"
    assert conversation_of(FIRST, ACME) == conversation_of(LATER, ACME)


def test_a_bound_conversation_stays_whatever_the_policy_says() -> None:
    asked = question(offer("a", cost_usd=0.1), offer("b", cost_usd=9.0), policy="cheapest")
    bound = decide(asked, Snapshot(bound_to="p/b"), seed=1)

    assert bound.attempts == ("p/b", "p/a")
    assert bound.candidates[0].propensity == 1.0
    assert "prompt is in its cache" in bound.candidates[0].reason
    assert decide(asked, Snapshot(bound_to="p/gone"), seed=1).attempts == ("p/a", "p/b")
