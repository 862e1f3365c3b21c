import random
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.clock import FrozenClock
from bridge.config import BreakerConfig, BridgeConfig, HealthConfig
from bridge.errors import ConfigurationError, CredentialError, MalformedReplyError
from bridge.gateway import Bridge
from bridge.reliability.health_book import HealthBook
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, encode_json
from bridge.upkeep import Upkeep

LISTS: dict[str, Any] = {
    "openai": {"object": "list", "data": [{"id": "b"}, {"id": "a"}]},
    "anthropic": {"data": [{"id": "a", "type": "model"}, {"id": "b"}]},
    "gemini": {"models": [{"name": "models/a"}, {"name": "models/b"}]},
    "cohere": {"models": [{"name": "a"}, {"name": "b"}]},
    "ollama": {"models": [{"name": "a"}, {"name": "b"}]},
}
PATHS: dict[str, tuple[str, dict[str, str]]] = {
    "openai": ("/models", {}),
    "anthropic": ("/v1/models", {"limit": "1000"}),
    "gemini": ("/v1beta/models", {"pageSize": "1000"}),
    "cohere": ("/v1/models", {"page_size": "1000"}),
    "ollama": ("/api/tags", {}),
}


class Lists:
    def __init__(self, status: int = 200, body: object = None) -> None:
        self.status = status
        self.body = body
        self.requests: list[WireRequest] = []

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        del target, limits
        self.requests.append(request)
        return WireReply(self.status, {}, encode_json(self.body))  # pyright: ignore[reportArgumentType]

    def open_stream(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> Any:
        raise AssertionError("nothing here is streamed")

    async def aclose(self) -> None:
        pass


def bridge(provider: Lists, dialect: str = "openai", **more: object) -> Bridge:
    acme = {"dialect": dialect, "base_url": "http://acme.test", "api_key": "k"}
    config: dict[str, Any] = {
        "providers": {"acme": acme, "mock": {}},
        "models": {"acme/m": {}},
        "breaker": {"consecutive": 2},
        **more,
    }
    return Bridge(BridgeConfig.parse(config), transports={"http": provider})


@pytest.mark.parametrize("dialect", sorted(LISTS))
async def test_every_dialect_lists_its_models(dialect: str) -> None:
    provider = Lists(body=LISTS[dialect])

    assert await bridge(provider, dialect).provider_models("acme") == ("a", "b")
    (asked,) = provider.requests
    assert (asked.method, asked.path, dict(asked.query)) == ("GET", *PATHS[dialect])
    if dialect != "ollama":
        assert "k" in " ".join(asked.headers.values())


async def test_a_probe_says_that_all_is_well() -> None:
    found = await bridge(Lists(body=LISTS["openai"])).probe("acme")

    assert (found.is_reached, found.takes_key, found.problem, found.models) == (True, True, None, ("a", "b"))


@pytest.mark.parametrize(
    ("status", "is_reached", "takes_key"), [(401, True, False), (500, True, None), (404, True, None)]
)
async def test_a_probe_says_what_is_wrong(status: int, is_reached: bool, takes_key: bool | None) -> None:
    found = await bridge(Lists(status, {"error": {"message": "no"}})).probe("acme")

    assert (found.is_reached, found.takes_key) == (is_reached, takes_key)
    assert (found.problem is None) == (status == 404)


def upkeep(provider: Lists) -> tuple[Upkeep, HealthBook, FrozenClock]:
    clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
    health = HealthBook(BreakerConfig(consecutive=2), random.Random(1))
    places = {
        name: Deployment(name, "acme", name, "openai", base_url, ModelEntry(name, "acme", name))
        for name, base_url in (("acme/a", "http://acme.test"), ("acme/b", "http://acme.test"), ("box/m", "local://m"))
    }
    return Upkeep(provider, health, clock, HealthConfig(probe_after_s=300), lambda: places), health, clock


async def test_a_place_is_probed_once_and_again_only_when_it_is_due() -> None:
    provider = Lists(body=LISTS["openai"])
    keeper, _, clock = upkeep(provider)

    assert len(await keeper.look_around()) == 1
    assert await keeper.look_around() == ()
    clock.advance(300)
    assert len(await keeper.look_around()) == 1
    assert len(provider.requests) == 2


async def test_probes_that_fail_open_the_circuits_of_all_models_there() -> None:
    keeper, health, clock = upkeep(Lists(503, {}))
    for _ in range(2):
        await keeper.look_around()
        clock.advance(300 if health.all_states(clock.monotonic())["acme/a"].circuit == "closed" else 0)

    states = health.all_states(clock.monotonic())

    assert {name: state.circuit for name, state in states.items()} == {"acme/a": "open", "acme/b": "open"}


async def test_a_good_probe_closes_no_circuit() -> None:
    provider = Lists(503, {})
    keeper, health, clock = upkeep(provider)
    for _ in range(2):
        await keeper.look_around()
        clock.advance(300)
    provider.status, provider.body = 200, LISTS["openai"]
    await keeper.look_around()

    assert health.all_states(clock.monotonic())["acme/a"].circuit == "half_open"


async def test_what_cannot_be_asked_says_why() -> None:
    caller = bridge(Lists())
    for provider, why in (("mock", "runs in this process"), ("openai", "OPENAI_API_KEY")):
        with pytest.raises(ConfigurationError, match=why):
            await caller.probe(provider)


async def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedReplyError):
        await bridge(Lists(body={"hello": 1})).provider_models("acme")
    with pytest.raises(CredentialError):
        await bridge(Lists(401, {})).provider_models("acme")
