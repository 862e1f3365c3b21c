"""How many requests and tokens fit now: limits by any key and window, all checked, then all taken, in one step.

A limit is a bucket of `burst` units that refills evenly, kept as one number: the moment at which the bucket will be
full again (GCRA's theoretical arrival time). Requests cost 1; tokens are reserved by their upper bound and settled to
what was used, both ways. Any window of `window_s` admits at most `burst + amount` units. That is how providers meter;
a promise of "60 a minute" is kept by `platform_api.limits`, whose windows never admit more.

Source: ITU-T I.371, generic cell rate algorithm (virtual scheduling).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

EXACT_WITHIN_S = 1e-6
"""Rounding of floating-point time that is forgiven, so that a caller who waits as told is admitted."""

Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` of `unit` every `window_s` for one key; `burst` of it at once (None: a whole window's worth)."""

    key: str
    """Whose limit: `deployment:openai/gpt-4o`, `org:42`. Limits of one key differ in unit or window."""
    unit: Unit
    amount: float
    window_s: float = 60.0
    burst: float | None = None
    lends: bool = False
    """Does a request that is larger than the burst go when the bucket is full, to be paid off afterwards?"""

    @property
    def name(self) -> str:
        """What its state is stored under."""
        return f"{self.key}|{self.unit}|{self.window_s:g}"

    @property
    def unit_s(self) -> float:
        """Seconds until one unit has come back."""
        return self.window_s / self.amount

    @property
    def depth_s(self) -> float:
        """Seconds until an empty bucket is full. Never less than one request's worth."""
        burst = self.amount if self.burst is None else self.burst
        return max(burst, 1.0 if self.unit == "requests" else 0.0) * self.unit_s

    def cost_s(self, tokens: float) -> float:
        """What a request of so many tokens takes, in seconds of refilling."""
        return self.unit_s * (1.0 if self.unit == "requests" else tokens)

    def needed_s(self, tokens: float) -> float:
        """How much of the bucket must be there for such a request; more than `depth_s`: it never fits."""
        return min(self.cost_s(tokens), self.depth_s) if self.lends else self.cost_s(tokens)


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a limit after an admission or a refusal."""

    limit: Limit
    left: float
    """Units that fit at once now."""
    full_in_s: float


@dataclass(slots=True)
class Grant:
    """Tokens that stand as taken, and where: they are settled there and nowhere else."""

    limits: tuple[Limit, ...] = ()
    tokens: float = 0.0
    is_shared: bool = False
    """Were they taken where processes count together? Otherwise this process alone counted."""


@dataclass(frozen=True, slots=True)
class Admission:
    """May the request go on?"""

    retry_after_s: float
    """0: it was admitted. Infinite: it is larger than a limit, so no waiting helps."""
    rooms: tuple[Room, ...]
    refused_by: Limit | None = None
    """The limit that takes longest to have room."""
    grant: Grant = field(default_factory=Grant)

    @property
    def is_admitted(self) -> bool:
        """Was everything taken? Otherwise nothing was."""
        return self.refused_by is None


class RateLimiter(Protocol):
    """Who counts. `now_s` is the caller's monotonic clock; a shared limiter goes by a shared clock instead."""

    async def admit(self, limits: Sequence[Limit], tokens: float, now_s: float) -> Admission:
        """Take one request and `tokens` under every limit, or nothing under any."""
        ...

    async def settle(self, grant: Grant, used: float, now_s: float) -> None:
        """`used` tokens count in place of those that were taken: the rest comes back, what is over is charged."""
        ...

    def wait_s(self, limits: Sequence[Limit], tokens: float, now_s: float) -> float:
        """How long until `admit` would succeed, as far as this process knows. Takes nothing."""
        ...


class MemoryRateLimiter:
    """Counts for this process. Holds one number a limit that is not at rest; at most `max_limits` of them."""

    def __init__(self, *, max_limits: int = 100_000) -> None:
        self._full_at_s: dict[str, float] = {}
        self._max_limits = max_limits

    async def admit(self, limits: Sequence[Limit], tokens: float, now_s: float) -> Admission:
        return self.admit_now(limits, tokens, now_s)

    def admit_now(self, limits: Sequence[Limit], tokens: float, now_s: float) -> Admission:
        """`admit`, which has nothing to wait for here."""
        wait_s, refused_by = self._longest_wait(limits, tokens, now_s)
        if refused_by is None:
            for limit in limits:
                self._full_at_s[limit.name] = max(now_s, self._full_at(limit, now_s)) + limit.cost_s(tokens)
            if len(self._full_at_s) > self._max_limits:
                self._forget(now_s)
        rooms = tuple(room_of(limit, self._full_at(limit, now_s) - now_s) for limit in limits)
        grant = granted(limits, tokens) if refused_by is None else Grant()
        return Admission(wait_s, rooms, refused_by, grant)

    async def settle(self, grant: Grant, used: float, now_s: float) -> None:
        self.settle_now(grant, used, now_s)

    def settle_now(self, grant: Grant, used: float, now_s: float) -> None:
        """`settle`, which has nothing to wait for here."""
        self.add(grant.limits, settled(grant, used), now_s)

    def add(self, limits: Sequence[Limit], tokens: float, now_s: float) -> None:
        """Count tokens without asking; fewer than 0 come back."""
        for limit in limits:
            full_at_s = self._full_at_s.get(limit.name, now_s)
            start_s = max(full_at_s, now_s) if tokens > 0 else full_at_s
            self._full_at_s[limit.name] = start_s + tokens * limit.unit_s

    def wait_s(self, limits: Sequence[Limit], tokens: float, now_s: float) -> float:
        return self._longest_wait(limits, tokens, now_s)[0]

    def learn(self, limit: Limit, full_at_s: float) -> None:
        """Take over a state that was read elsewhere."""
        self._full_at_s[limit.name] = full_at_s
        if len(self._full_at_s) > self._max_limits:
            self._forget(-math.inf)

    def _longest_wait(self, limits: Sequence[Limit], tokens: float, now_s: float) -> tuple[float, Limit | None]:
        longest_s, refused_by = 0.0, None
        for limit in limits:
            wait_s = wait_of(limit, tokens, self._full_at(limit, now_s) - now_s)
            if wait_s > longest_s:
                longest_s, refused_by = wait_s, limit
        return longest_s, refused_by

    def _full_at(self, limit: Limit, now_s: float) -> float:
        return self._full_at_s.get(limit.name, now_s)

    def _forget(self, now_s: float) -> None:
        """Drop what is at rest anyway, and then the limits that will be at rest soonest."""
        by_moment = sorted(self._full_at_s.items(), key=lambda item: item[1], reverse=True)
        kept = by_moment[: self._max_limits - self._max_limits // 10]
        self._full_at_s = {name: full_at_s for name, full_at_s in kept if full_at_s > now_s}


def wait_of(limit: Limit, tokens: float, full_in_s: float) -> float:
    """Seconds until the request fits, when the bucket will be full in `full_in_s`; 0: it fits now."""
    needed_s = limit.needed_s(tokens)
    if needed_s > limit.depth_s + EXACT_WITHIN_S:
        return math.inf
    wait_s = max(full_in_s, 0.0) + needed_s - limit.depth_s
    return wait_s if wait_s > EXACT_WITHIN_S else 0.0


def room_of(limit: Limit, full_in_s: float) -> Room:
    """What is left when the bucket will be full in `full_in_s`."""
    taken_s = max(full_in_s, 0.0)
    return Room(limit, max(limit.depth_s - taken_s, 0.0) / limit.unit_s, taken_s)


def granted(limits: Sequence[Limit], tokens: float, *, is_shared: bool = False) -> Grant:
    """What an admission took, to be settled."""
    return Grant(tuple(limit for limit in limits if limit.unit == "tokens"), tokens, is_shared)


def settled(grant: Grant, used: float) -> float:
    """How many tokens more than those taken are to be counted (fewer: below 0). The grant then stands at `used`."""
    change = max(used, 0.0) - grant.tokens
    grant.tokens += change
    return change
