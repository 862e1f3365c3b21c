"""Calls of an alias that hedges, through the whole bridge on virtual time."""

import itertools
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from bridge.call_record import CallRecord
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.providers.mock import MockTransport
from bridge.simulation.virtual_time import VirtualClock, VirtualTimeLoop, run_virtual
from tests.support.bridge_calls import CONTEXT, KeptCalls, asking, read

SLOW = {"kind": "slow_first_token", "seconds": 8, "match": {"model": "a"}, "skip": 25, "times": None}


def lived(talk: Callable[[Bridge], Coroutine[Any, Any, None]], **hedge: object) -> list[CallRecord]:
    """What was recorded of the calls that `talk` made. `mock/a` becomes slow after 25 requests."""
    sink, numbers = KeptCalls(), itertools.count()
    config = BridgeConfig.parse(
        {
            "providers": {"mock": {}},
            "aliases": {"quick": {"candidates": ["mock/a", "mock/b"], "hedge": hedge}},
        }
    )

    async def main(loop: VirtualTimeLoop) -> None:
        clock = VirtualClock(loop, datetime(2026, 11, 24, tzinfo=UTC))
        options: dict[str, object] = {"faults": [SLOW], "latency": {"min_ms": 200, "max_ms": 300}}
        bridge = Bridge(
            config,
            transports={"mock": MockTransport(options, clock=clock)},
            sinks=[sink],
            clock=clock,
            new_id=lambda: f"id-{next(numbers)}",
            rng=random.Random(1),
        )
        await talk(bridge)
        assert all(s.in_flight == 0 for one in await bridge.health() for s in one.deployments.values())
        await bridge.aclose()

    run_virtual(main)
    return sink.calls


async def chatting(bridge: Bridge) -> None:
    for _ in range(26):
        await bridge.chat(asking("quick"), CONTEXT)


async def streaming(bridge: Bridge) -> None:
    for _ in range(26):
        assert await read(bridge.stream(asking("quick"), CONTEXT)) == "mock answer to: hello"


def test_a_slow_first_target_is_overtaken_and_both_are_in_the_ledger() -> None:
    for talk in (chatting, streaming):
        *usual, last = lived(talk)

        assert all(len(call.attempts) == 1 for call in usual)
        assert sorted((one.deployment, one.outcome) for one in last.attempts) == [
            ("mock/a", "cancelled"),
            ("mock/b", "succeeded"),
        ]
        assert (last.finished_at - last.started_at).total_seconds() < 1
        assert all(one.usage is not None for one in last.attempts)


def test_little_experience_is_not_enough_to_hedge() -> None:
    async def talk(bridge: Bridge) -> None:
        for _ in range(19):
            await bridge.chat(asking("quick"), CONTEXT)

    assert all(len(call.attempts) == 1 for call in lived(talk))


def test_no_more_calls_are_hedged_than_the_share_allows() -> None:
    async def talk(bridge: Bridge) -> None:
        for _ in range(60):
            await bridge.chat(asking("quick"), CONTEXT)

    calls = lived(talk, max_share=0.05, burst=1.0, quantile=0.5)

    assert 1 <= sum(len(call.attempts) == 2 for call in calls) <= 1 + 60 * 0.05
