"""One failover scenario: a bridge as configured by default, two providers, one streamed call."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.failover_scenarios import Observed, Scenario, Verdict, judged
from benchmarks.failover_upstream import HEALTHY, Route, Upstream
from bridge.call_record import CallContext
from bridge.chat import ChatRequest, Message
from bridge.config import BridgeConfig
from bridge.errors import BridgeError
from bridge.gateway import Bridge

CONTEXT = CallContext(org_id="bench")
PROMPT = ChatRequest("pair", (Message.of("user", "Say the known answer."),))
CAN = ["chat", "stream"]
DEFAULTS: Mapping[str, object] = {}


def bridge_for(
    url: str, dialect: str, *, fallback_prefills: bool = False, sections: Mapping[str, object] = DEFAULTS
) -> Bridge:
    """Primary `one/m`, fallback `two/m` with the larger window; everything but `sections` by default."""
    can = [*CAN, "prefill"] if fallback_prefills else CAN
    config: dict[str, Any] = {
        "providers": {
            "one": {"dialect": dialect, "base_url": f"{url}/primary", "api_key": "k"},
            "two": {"dialect": dialect, "base_url": f"{url}/fallback", "api_key": "k"},
        },
        "models": {
            "one/m": {"capabilities": CAN, "context_window": 8_000},
            "two/m": {"capabilities": can, "context_window": 200_000},
        },
        "aliases": {"pair": {"policy": "priority", "candidates": ["one/m", "two/m"]}},
        **sections,
    }
    return Bridge(BridgeConfig.parse(config))


async def ask(
    bridge: Bridge, limit_s: float, request: ChatRequest = PROMPT
) -> tuple[str, str | None, str | None, bool]:
    """Text, error, the model that answered, whether usage was told."""
    stream = bridge.stream(request, CONTEXT)
    pieces: list[str] = []
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in stream:
                pieces.append(chunk.text)
    except BridgeError as error:
        return "".join(pieces), f"{type(error).__name__}: {error}", None, False
    except TimeoutError:
        return "".join(pieces), "hung", None, False
    result = stream.result
    return "".join(pieces), None, result.record.attempts[-1].model, result.response.usage is not None


async def run_scenario(
    dialect: str, scenario: Scenario, sections: Mapping[str, object] = DEFAULTS
) -> tuple[Observed, Verdict]:
    """What the caller saw, and the verdict; with other `sections` of the configuration than the default."""
    primary = Route(scenario.primary)
    fallback = Route(lambda number, elapsed_s: HEALTHY, rejects_prefill=scenario.fallback_prefills)
    async with Upstream(dialect, {"primary": primary, "fallback": fallback}).running() as upstream:
        bridge = bridge_for(upstream.url, dialect, fallback_prefills=scenario.fallback_prefills, sections=sections)
        began = time.monotonic()
        text, error, model, has_usage = await ask(bridge, scenario.wall_s + 5)
        wall_s = time.monotonic() - began
        counts = tuple(one.at_s for one in primary.seen), tuple(one.at_s for one in fallback.seen)
        healthy = None
        if scenario.then_healthy:
            again = ChatRequest("two/m", PROMPT.messages)
            healthy = (await ask(bridge, 10, again))[1] is None
        await bridge.aclose()
    seen = Observed(text, error, model, has_usage, wall_s, *counts, healthy)
    return seen, judged(scenario, seen)
