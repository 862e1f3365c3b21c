"""Spare keys and organisations' own keys, through the whole bridge."""

import itertools
import json
import logging
import random
from dataclasses import dataclass, field

import pytest

from bridge.call_record import CallContext
from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.errors import CredentialError
from bridge.gateway import Bridge
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest
from tests.support.bridge_calls import NOW, KeptCalls, asking
from tests.support.wire import ScriptedTransport

CONFIG = BridgeConfig.parse(
    {
        "providers": {
            "acme": {
                "dialect": "openai",
                "base_url": "http://127.0.0.1:1/v1",
                "api_key": "operators-first",
                "spare_keys": ["operators-second", "${env:NOT_SET}"],
            }
        }
    }
)
GOOD = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}


@dataclass
class Refusing(ScriptedTransport):
    """Refuses some keys with 401, and keeps all it was shown."""

    refused: set[str]
    seen: list[str] = field(default_factory=list[str])

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.seen.append(key)
        if key in self.refused:
            body = {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}}
            return WireReply(401, {}, json.dumps(body).encode())
        return WireReply(200, {}, json.dumps(GOOD).encode())


class OwnKeys:
    """Organisation `byok` brings its own."""

    def api_key(self, org_id: str, provider: str) -> str | None:
        return "their-own-key" if org_id == "byok" and provider == "acme" else None


def keyed(*refused: str) -> tuple[Bridge, Refusing, KeptCalls]:
    transport, sink, numbers = Refusing(set(refused)), KeptCalls(), itertools.count()
    bridge = Bridge(
        CONFIG,
        transports={"acme": transport},
        sinks=[sink],
        clock=FrozenClock(NOW),
        new_id=lambda: f"id-{next(numbers)}",
        rng=random.Random(1),
        credentials=OwnKeys(),
    )
    return bridge, transport, sink


async def test_a_refused_key_gives_way_and_is_left_alone_for_a_while() -> None:
    bridge, transport, sink = keyed("operators-first")
    for _ in range(2):
        await bridge.chat(asking("acme/m"), CallContext("acme"))

    assert transport.seen == ["operators-first", "operators-second", "operators-second"]
    assert [(one.outcome, one.status) for one in sink.calls[0].attempts] == [("failed", 401), ("succeeded", 200)]


async def test_a_spare_key_whose_variable_is_not_set_is_none() -> None:
    bridge, transport, _ = keyed("operators-first", "operators-second")
    with pytest.raises(CredentialError):
        await bridge.chat(asking("acme/m"), CallContext("acme"))

    assert transport.seen == ["operators-first", "operators-second"]


async def test_an_organisation_calls_with_its_own_key_only() -> None:
    bridge, transport, _ = keyed("their-own-key")
    for _ in range(6):
        with pytest.raises(CredentialError):
            await bridge.chat(asking("acme/m"), CallContext("byok"))
    await bridge.chat(asking("acme/m"), CallContext("acme"))

    assert transport.seen == ["their-own-key", "operators-first"]
    (health,) = await bridge.health()
    assert all(state.circuit == "closed" for state in health.deployments.values())


async def test_no_key_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    bridge, _, sink = keyed("operators-first", "operators-second")
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialError) as caught:
        await bridge.chat(asking("acme/m"), CallContext("acme"))

    said = f"{caught.value} {sink.calls[0]} {caplog.text}"
    assert "operators-" not in said
