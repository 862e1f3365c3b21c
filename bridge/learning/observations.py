"""What learning looks at: one line for each answered or failed call, taken from call records."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from bridge.call_record import CallRecord

MAX_OBSERVATIONS = 20_000
NOT_ENOUGH = 30
"""With fewer observations nothing is predicted or advised."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One call as learning sees it. Tokens and costs are sums over its attempts."""

    at: datetime
    org_id: str
    task: str
    alias: str | None
    model: str
    """Of the last attempt; empty for a cached answer."""
    deployment: str
    input_tokens: int
    output_tokens: int
    latency_s: float
    ttft_s: float | None
    cost_nano_usd: int | None
    is_success: bool
    is_cached: bool = False


class NotEnoughDataError(ValueError):
    """Too few observations to say anything. `missing`: how many more are needed."""

    def __init__(self, what: str, *, have: int, needed: int = NOT_ENOUGH) -> None:
        super().__init__(f"not enough data for {what}: {have} observations, {needed - have} more are needed")
        self.missing = needed - have


def observed(call: CallRecord) -> Observation:
    """The call as an observation."""
    last = call.attempts[-1] if call.attempts else None
    usages = [attempt.usage for attempt in call.attempts if attempt.usage is not None]
    seconds = (call.finished_at - call.started_at).total_seconds()
    return Observation(
        at=call.started_at,
        org_id=call.context.org_id,
        task=call.context.task or call.requested,
        alias=call.alias,
        model=last.model if last is not None else "",
        deployment=last.deployment if last is not None else "",
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        latency_s=last.duration_ms / 1000 if last is not None else seconds,
        ttft_s=last.ttft_ms / 1000 if last is not None and last.ttft_ms is not None else None,
        cost_nano_usd=call.cost_nano_usd,
        is_success=call.status == "succeeded",
        is_cached=call.cache == "hit",
    )


class ObservationLog:
    """Keeps the newest observations, oldest first."""

    def __init__(self, *, max_observations: int = MAX_OBSERVATIONS) -> None:
        self._kept: deque[Observation] = deque(maxlen=max_observations)

    def add(self, one: Observation) -> None:
        """Keep one."""
        self._kept.append(one)

    def newest(self, count: int) -> tuple[Observation, ...]:
        """The last `count`, oldest first."""
        return tuple(islice(self._kept, max(len(self._kept) - count, 0), None))

    def __iter__(self) -> Iterator[Observation]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
