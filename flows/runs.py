"""Runs and steps as records, their states, and the ports that store and announce them.

The run store is the truth in both lanes. A finished step that costs or has effects is stored before any step that
depends on it starts; a later walk over the stored outcomes continues instead of repeating.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from flows.recordings import Recording

StepStatus = Literal["pending", "running", "retrying", "waiting", "succeeded", "failed", "skipped", "cancelled"]
RunStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled", "partial"]
Lane = Literal["inline", "prefect"]

FINAL_RUN: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "partial"})
FINAL_STEP: frozenset[str] = frozenset({"succeeded", "failed", "skipped", "cancelled"})


@dataclass(frozen=True, slots=True)
class StepError:
    """Why a step failed, as flows, records and callers see it."""

    error_class: ErrorClass
    message: str
    node: str
    path: str
    attempt: int = 1
    item_index: int | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The shape of FLOWS' rule 20."""
        return {
            "node": self.node,
            "path": self.path,
            "class": self.error_class,
            "message": self.message,
            "item_index": self.item_index,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class StepRun:
    """The outcome, or present state, of one step. `path` is its place: `draft`, or `outer[2].inner`."""

    path: str
    step: str
    type: str
    status: StepStatus
    reason: str | None = None
    """For skipped: when, upstream_failed, upstream_skipped, switch, goto. For cancelled: who asked."""
    attempts: int = 0
    output: JsonValue = None
    error: StepError | None = None
    is_error_handled: bool = False
    item_errors: tuple[StepError, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cost_nano_usd: int | None = 0
    """Sum over the step's attempts; None when a price is unknown."""
    model: str | None = None
    provider: str | None = None
    call_ids: tuple[str, ...] = ()
    fingerprint: str = ""
    is_cached: bool = False
    taken: tuple[str, ...] | None = None
    """What a switch chose, or a goto target."""
    recording: Recording | None = field(default=None, compare=False, repr=False)
    """Goes into the store with the outcome; it does not come back with it."""


@dataclass(frozen=True, slots=True)
class RunOwner:
    """The right to write a run: lost when somebody else took over, which raised the epoch."""

    run_id: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a flow version."""

    id: str
    org_id: str
    flow: str
    version: int
    status: RunStatus
    inputs: JsonObject
    trigger: str
    """manual, api, schedule, flow, replay."""
    lane: Lane
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outputs: JsonObject = field(default_factory=dict[str, JsonValue])
    errors: tuple[StepError, ...] = ()
    cost_nano_usd: int | None = 0
    epoch: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    is_cancel_requested: bool = False
    prefect_run_id: str | None = None
    parent_run_id: str | None = None
    key_id: str | None = None
    user_id: str | None = None
    wake_at: datetime | None = None
    """While waiting: when it goes on by itself; None when only an answer helps."""
    waiting_since: datetime | None = None
    waited_s: float = 0.0
    """How long it has waited before; that time does not count towards its limit."""
    org_slug: str | None = None
    """What expressions see as `tenant.slug`; the org id when None."""
    request_id: str | None = None
    """Of the request that asked for it."""
    traceparent: str | None = None
    """W3C trace context that it belongs to; None: it is not traced."""


EventKind = Literal["run", "step", "token"]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run. `seq` grows by one per stored event of the run; tokens are not stored."""

    run_id: str
    seq: int
    kind: EventKind
    at: datetime
    body: JsonObject
    part: int = 0
    """For tokens: position after stored event `seq`; the event's id on the wire is `<seq>.<part>`."""


class StaleOwnerError(Exception):
    """Somebody else owns the run now: cancel what is running and write nothing more."""


class RunStore(Protocol):
    """Where runs live. Every write carries the owner; a stale one changes nothing and raises StaleOwnerError."""

    async def load(self, run_id: str) -> Run | None: ...

    async def steps(self, run_id: str) -> Sequence[StepRun]:
        """The latest stored state of every step path."""
        ...

    async def recordings(self, run_id: str) -> Sequence[Recording]:
        """What was stored with the outcomes of its steps, for a replay."""
        ...

    async def acquire(self, run_id: str, owner: str, *, lease_s: float = 30.0) -> RunOwner | None:
        """Take the run: adds 1 to the epoch. None when another owner's lease is alive or the run is final."""
        ...

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        """Extend the lease; answers whether cancel was requested. Raises StaleOwnerError."""
        ...

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        """Store states (one row per path, the last one wins) and append one event each, in one transaction.

        Answers the appended events, in order, for the engine to publish. Saving the same state twice is harmless.
        """
        ...

    async def save_run(self, owner: RunOwner, run: Run) -> Sequence[RunEvent]:
        """Store status, times, outputs, errors, cost and append an event; answers it.

        A final status, `waiting` or `queued` (given back, to be continued elsewhere) releases the lease. What the
        engine does not decide (owner, lease, epoch, cancel request, keys and ids) is not taken from `run`.
        """
        ...

    async def request_cancel(self, org_id: str, run_id: str) -> bool:
        """Ask whoever runs it to stop. False when the run is final or unknown."""
        ...

    async def is_cancel_requested(self, run_id: str) -> bool: ...

    async def events(self, run_id: str, *, after_seq: int = 0) -> Sequence[RunEvent]:
        """Stored events after `after_seq`, in order."""
        ...


class EventBus(Protocol):
    """Carries events, tokens included, to whoever watches; nothing on it is needed for correctness."""

    def publish(self, event: RunEvent) -> None: ...

    def is_followed(self, run_id: str) -> bool:
        """Is anybody watching? Only then are answers streamed token by token."""
        ...

    def follow(self, run_id: str) -> AsyncIterator[RunEvent]:
        """Events from now on, until the run is final."""
        ...


def step_event_body(step: StepRun) -> dict[str, JsonValue]:
    """What a stored `step` event says: enough to draw progress, no payloads."""
    return {
        "path": step.path,
        "step": step.step,
        "type": step.type,
        "status": step.status,
        "reason": step.reason,
        "attempts": step.attempts,
        "started_at": _text(step.started_at),
        "finished_at": _text(step.finished_at),
        "cost_usd": usd_number(step.cost_nano_usd),
        "model": step.model,
        "provider": step.provider,
        "cached": step.is_cached,
        "error": step.error.to_json() if step.error else None,
    }


def run_event_body(run: Run) -> dict[str, JsonValue]:
    """What a stored `run` event says."""
    return {
        "run_id": run.id,
        "status": run.status,
        "started_at": _text(run.started_at),
        "finished_at": _text(run.finished_at),
        "cost_usd": usd_number(run.cost_nano_usd),
        "errors": [error.to_json() for error in run.errors],
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
