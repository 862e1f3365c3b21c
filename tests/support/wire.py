"""Deployments and requests for tests of the wire, with defaults."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bridge.attempt import AttemptRunner
from bridge.attempt_meter import AttemptMeter
from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry, PriceOverride
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, Message
from bridge.clock import Clock
from bridge.money import Usd
from bridge.transport import Endpoint, Timeouts, Transport, WireReply, WireRequest, WireStream

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PRICE = PriceOverride(model="test", input_usd_per_mtok=Usd(1), output_usd_per_mtok=Usd(2), origin="test")
"""1 USD a million input tokens, 2 USD output: 1,000 and 2,000 nano-dollars a token."""


def deployment(
    provider: str = "acme",
    *,
    base_url: str = "https://acme.test/v1",
    capabilities: frozenset[str] = frozenset(),
    **facts: Any,
) -> Deployment:
    entry_facts = {name: facts.pop(name) for name in ("context_window", "max_output_tokens") if name in facts}
    entry = ModelEntry(
        name=f"{provider}/m",
        provider=provider,
        model_id="m",
        capabilities=capabilities,
        price_override=PRICE,
        **entry_facts,
    )
    return Deployment(
        name=entry.name,
        provider=provider,
        model_id="m",
        dialect=facts.pop("dialect", "openai"),
        base_url=base_url,
        entry=entry,
        api_key=facts.pop("api_key", "secret-key-1234"),
        **facts,
    )


def asking(text: str = "Hello", **fields: Any) -> ChatRequest:
    return ChatRequest(model="acme/m", messages=(Message.of("user", text),), **fields)


def runner_over(transport: Transport, clock: Clock, provider: str = "acme") -> AttemptRunner:
    numbers = iter(range(1, 1_000))
    return AttemptRunner({provider: transport}, Prices(), clock, lambda: f"attempt-{next(numbers)}")


class KeptAttempts:
    """An AttemptWatch that keeps what it is told, and may refuse."""

    def __init__(self, records: list[AttemptRecord] | None = None, *, refusal: Exception | None = None) -> None:
        self.begun: list[AttemptMeter] = []
        self.records = [] if records is None else records
        self._refusal = refusal

    def dispatched(self, attempt: AttemptMeter) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.begun.append(attempt)

    def ended(self, record: AttemptRecord) -> None:
        self.records.append(record)


class ScriptedTransport:
    """Answers every request with the given bytes, or raises `fault`."""

    def __init__(
        self,
        *pieces: bytes,
        status: int = 200,
        content_type: str = "text/event-stream",
        pause_s: float = 0.0,
        fault: Exception | None = None,
    ) -> None:
        self.pieces = pieces
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": content_type}
        self.pause_s = pause_s
        self.fault = fault

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        if self.fault is not None:
            raise self.fault
        return WireReply(self.status, self.headers, b"".join(self.pieces))

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        if self.fault is not None:
            raise self.fault
        yield self

    async def aclose(self) -> None: ...

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(self.pause_s)
            yield piece

    async def read(self) -> bytes:
        return b"".join(self.pieces)
