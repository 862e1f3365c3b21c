"""A Bridge over the mock provider on a frozen clock: what takes minutes elsewhere takes none here."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.budgets import MemoryBudgetLedger
from bridge.call_record import CallContext, CallJournal, CallRecord
from bridge.chat import ChatRequest, Message
from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.providers.mock import MockTransport
from bridge.result import ChatStream
from bridge.transport import Transport

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONTEXT = CallContext(org_id="acme")
TWO = {"aliases": {"two": {"candidates": ["mock/first", "mock/second"]}}}
"""Sections of a configuration: `two` asks the first model, and the second one when that fails."""


@dataclass(slots=True)
class KeptCalls:
    """A CallSink that keeps what it is told."""

    calls: list[CallRecord] = field(default_factory=list[CallRecord])

    def record(self, call: CallRecord) -> None:
        self.calls.append(call)


@dataclass(slots=True)
class Bench:
    """A bridge and what surrounds it."""

    bridge: Bridge
    mock: MockTransport
    clock: FrozenClock
    sink: KeptCalls
    ledger: MemoryBudgetLedger


def numbered_ids() -> "itertools.count[int]":
    return itertools.count(1)


def bench(
    *,
    faults: list[dict[str, object]] | None = None,
    replies: list[dict[str, object]] | None = None,
    sections: Mapping[str, object] | None = None,
    transports: Mapping[str, Transport] | None = None,
    seed: int = 1,
    journal: CallJournal | None = None,
) -> Bench:
    """A bridge with the mock as provider `mock` (and `spare`, the same mock), and `sections` of configuration."""
    clock = FrozenClock(NOW)
    mock = MockTransport({"faults": faults or [], "replies": replies or []}, clock=clock)
    numbers = numbered_ids()

    def new_id() -> str:
        return f"id-{next(numbers)}"

    sink, ledger = KeptCalls(), MemoryBudgetLedger(new_id)
    config = BridgeConfig.parse({"providers": {"mock": {}}, **(sections or {})})
    bridge = Bridge(
        config,
        transports=transports or {"mock": mock},
        sinks=[sink, ledger],
        ledger=ledger,
        clock=clock,
        new_id=new_id,
        rng=random.Random(seed),
        journal=journal,
    )
    return Bench(bridge, mock, clock, sink, ledger)


def asking(model: str, text: str = "hello", **options: object) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(model=model, messages=(Message.of("user", text),), **options)  # pyright: ignore[reportArgumentType]  # test options by name


async def read(stream: ChatStream) -> str:
    """All text of a stream."""
    return "".join([chunk.text async for chunk in stream])


def tried(call: CallRecord) -> list[tuple[str, str]]:
    """Deployment and outcome of every attempt."""
    return [(attempt.deployment, attempt.outcome) for attempt in call.attempts]


def failing(kind: str, model: str = "first", **more: object) -> dict[str, object]:
    """A fault of the mock provider, for one of its models."""
    return {"kind": kind, "match": {"model": model}, **more}


def the_call(one: Bench) -> CallRecord:
    """The one call that was recorded."""
    (call,) = one.sink.calls
    return call
