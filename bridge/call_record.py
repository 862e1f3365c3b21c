"""What happened in a call: its attempts, cost and decision; and the port that stores it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from bridge.chat import FinishReason, Usage
from bridge.decision import Decision
from bridge.errors import ErrorClass

ScopeKind = Literal["org", "key", "alias", "flow", "run"]
CacheOutcome = Literal["hit", "miss", "off"]
CallKind = Literal["chat", "embeddings", "rerank"]
"""What is asked for: the capability that every call of the kind needs."""
CallStatus = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, order=True)
class BudgetScope:
    """What a budget is set on. `id` is unique within `kind` and organisation."""

    kind: ScopeKind
    id: str


@dataclass(frozen=True, slots=True)
class Lease:
    """What a call holds under one budget, out of a lease of its process, until the journal settles it."""

    id: str
    """The process's lease; calls share it."""
    budget_id: str
    scope: BudgetScope
    amount_nano_usd: int


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf a call is made. Ids are text; None where it does not apply."""

    org_id: str
    key_id: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    step_path: str | None = None
    flow: str | None = None
    task: str | None = None
    """What quality is measured for; the alias when None."""
    request_id: str | None = None
    traceparent: str | None = None
    """W3C trace context of what asks for the call."""
    conversation: str | None = None
    """What the calls of one conversation share; None: told from how the conversation begins."""
    allowed_models: tuple[str, ...] | None = None
    """What the caller may use: `provider/model`, `provider/*` or an alias. None: everything."""


@dataclass(frozen=True, slots=True)
class PriceRef:
    """Which price row was applied, so that the cost recomputes."""

    row: str
    data_version: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at one deployment. Cost is None when the price is unknown, 0 when surely unbilled or free."""

    attempt_id: str
    deployment: str
    provider: str
    model: str
    started_at: datetime
    duration_ms: float
    ttft_ms: float | None
    outcome: Literal["succeeded", "failed", "cancelled"]
    error_class: ErrorClass | None
    error_message: str | None
    status: int | None
    usage: Usage | None
    cost_nano_usd: int | None
    provider_cost_nano_usd: int | None
    price: PriceRef | None
    is_estimated: bool
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request with all its attempts."""

    call_id: str
    context: CallContext
    requested: str
    alias: str | None
    decision: Decision | None
    attempts: tuple[AttemptRecord, ...]
    status: CallStatus
    cache: CacheOutcome
    is_stream: bool
    started_at: datetime
    finished_at: datetime
    error_class: ErrorClass | None = None
    error_message: str | None = None
    re_asks: int = 0
    is_rescued: bool = False
    """A stream broke off after its first content, and another target took it up."""
    cache_similarity: float | None = None
    """Of a hit: 1 for the same request, less for one that means the same."""
    leases: tuple[Lease, ...] = ()
    kind: CallKind = "chat"

    @property
    def cost_nano_usd(self) -> int | None:
        """Sum over attempts; None when any attempt that may have been billed has no known price."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nano_usd is None:
                return None
            total += attempt.cost_nano_usd
        return total


class Dispatch(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="dispatched"):
    """An attempt as it is written down before its request leaves: enough to account for it after a kill."""

    attempt_id: str
    call_id: str
    context: CallContext
    requested: str
    alias: str | None
    is_stream: bool
    call_started_at: datetime
    deployment: str
    provider: str
    model: str
    at: datetime
    worst_case_nano_usd: int | None
    """None: the price is unknown."""
    leases: tuple[Lease, ...]
    """What the call holds so far, this attempt's worst case included."""


class CallJournal(Protocol):
    """Where attempts are written down while a call is under way, so that a kill loses none of them.

    A CallRecord settles all attempts that it lists.
    """

    def dispatched(self, attempt: Dispatch) -> None:
        """Append it. Raises JournalUnavailableError; then nothing of it is kept, and nothing may be sent."""
        ...

    def settled(self, call_id: str, attempt: AttemptRecord) -> None:
        """Append the end of an attempt whose call goes on. Never raises: what cannot be written now is kept."""
        ...


class CallSink(Protocol):
    """Who stores call records. Called once per call, after its end, on the event loop: must not block for long."""

    def record(self, call: CallRecord) -> None: ...
