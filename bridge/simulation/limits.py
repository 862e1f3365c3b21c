"""The limits that simulated providers enforce: calls and tokens a minute by token bucket, and calls at a time."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.config import RateConfig

BURST_S = 10.0
"""A bucket holds what is allowed in so many seconds."""
BUSY_RETRY_S = 1.0


@dataclass(slots=True)
class _Bucket:
    level: float
    at_s: float

    def refill(self, per_s: float, capacity: float, now_s: float) -> None:
        self.level = min(capacity, self.level + (now_s - self.at_s) * per_s)
        self.at_s = now_s


class ProviderLimits:
    """What is used of every deployment's allowance."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._in_flight: dict[str, int] = {}

    def wait_s(
        self, deployment: str, allowed: RateConfig, calls_per_minute: float | None, tokens: int, now_s: float
    ) -> float:
        """0 when the call is let in, and counted; else how long there will be no room for it.

        `calls_per_minute` is a limit of the moment, which holds beside the model's own.
        """
        if allowed.in_flight is not None and self._in_flight.get(deployment, 0) >= allowed.in_flight:
            return BUSY_RETRY_S
        known = [limit for limit in (allowed.requests_per_minute, calls_per_minute) if limit is not None]
        wanted = [("calls", min(known), 1.0)] if known else []
        if allowed.tokens_per_minute is not None:
            wanted.append(("tokens", allowed.tokens_per_minute, float(tokens)))
        waits = [self._missing_s(deployment, *limit, now_s) for limit in wanted]
        if max(waits, default=0.0) > 0:
            return max(waits)
        for kind, _, amount in wanted:
            self._buckets[deployment, kind].level -= amount
        return 0.0

    @contextmanager
    def in_flight(self, deployment: str) -> Generator[None, None, None]:
        """One more call is being answered."""
        self._in_flight[deployment] = self._in_flight.get(deployment, 0) + 1
        try:
            yield
        finally:
            self._in_flight[deployment] -= 1

    def _missing_s(self, deployment: str, kind: str, per_minute: float, amount: float, now_s: float) -> float:
        """How long until the bucket holds `amount`. One that is larger than the bucket is let in when it is full."""
        per_s = per_minute / 60
        capacity = max(per_s * BURST_S, 1.0)
        bucket = self._buckets.setdefault((deployment, kind), _Bucket(capacity, now_s))
        bucket.refill(per_s, capacity, now_s)
        return max(min(amount, capacity) - bucket.level, 0.0) / per_s
