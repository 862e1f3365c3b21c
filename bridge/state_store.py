"""Small shared state with expiry: the port, and the in-memory store of a single process."""

import heapq
import itertools
from collections import deque
from typing import Protocol

from bridge.clock import Clock


class StateStore(Protocol):
    """Values by key. Never money: that is SQL's alone. A value may vanish at any time."""

    async def get(self, key: str) -> str | None:
        """The value; None when there is none or it has expired."""
        ...

    async def set(self, key: str, value: str, *, ttl_s: float | None = None) -> None:
        """Store a value, for `ttl_s` seconds when given."""
        ...

    async def incr(self, key: str, amount: int = 1, *, ttl_s: float | None = None) -> int:
        """Add to a counter and return its new value. `ttl_s` counts from its first use."""
        ...

    async def compare_and_set(self, key: str, expected: str | None, value: str, *, ttl_s: float | None = None) -> bool:
        """Store `value` if the current one is `expected` (None: absent). Atomic. Was it stored?"""
        ...

    async def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        ...

    async def append(self, key: str, value: str, *, keep: int, ttl_s: float) -> None:
        """Add to the end of a list, which keeps its newest `keep` values and lives `ttl_s` from its last one on."""
        ...

    async def tail(self, key: str, after: str) -> tuple[list[str], str]:
        """The values that were added after a position ("": all that are kept), and the position to read on from."""
        ...


class MemoryStateStore:
    """State of this process. Holds at most `max_entries`; past that, what expires soonest goes first."""

    def __init__(self, clock: Clock, *, max_entries: int = 100_000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._values: dict[str, tuple[str, float | None]] = {}
        self._lists: dict[str, tuple[deque[tuple[int, str]], float]] = {}
        self._numbers = itertools.count(1)

    async def get(self, key: str) -> str | None:
        return self._live(key)

    async def set(self, key: str, value: str, *, ttl_s: float | None = None) -> None:
        self._put(key, value, ttl_s)

    async def incr(self, key: str, amount: int = 1, *, ttl_s: float | None = None) -> int:
        current = self._live(key)
        if current is None:
            self._put(key, str(amount), ttl_s)
            return amount
        total = int(current) + amount
        self._values[key] = (str(total), self._values[key][1])
        return total

    async def compare_and_set(self, key: str, expected: str | None, value: str, *, ttl_s: float | None = None) -> bool:
        if self._live(key) != expected:
            return False
        self._put(key, value, ttl_s)
        return True

    async def delete(self, key: str) -> None:
        self._values.pop(key, None)

    async def append(self, key: str, value: str, *, keep: int, ttl_s: float) -> None:
        now_s = self._clock.monotonic()
        values, expires_s = self._lists.pop(key, (deque[tuple[int, str]](), 0.0))
        if expires_s <= now_s:
            values.clear()
        values.append((next(self._numbers), value))
        while len(values) > keep:
            values.popleft()
        self._lists[key] = values, now_s + ttl_s
        if len(self._lists) > self._max_entries:
            del self._lists[next(iter(self._lists))]

    async def tail(self, key: str, after: str) -> tuple[list[str], str]:
        values, expires_s = self._lists.get(key, (deque[tuple[int, str]](), 0.0))
        if not values or expires_s <= self._clock.monotonic():
            return [], after
        start = int(after or 0)
        fresh = [value for number, value in reversed(values) if number > start] if values[-1][0] > start else []
        return fresh[::-1], str(values[-1][0])

    def _live(self, key: str) -> str | None:
        found = self._values.get(key)
        if found is None:
            return None
        value, expires_s = found
        if expires_s is not None and self._clock.monotonic() >= expires_s:
            del self._values[key]
            return None
        return value

    def _put(self, key: str, value: str, ttl_s: float | None) -> None:
        self._values[key] = (value, None if ttl_s is None else self._clock.monotonic() + ttl_s)
        if len(self._values) > self._max_entries:
            self._make_room()

    def _make_room(self) -> None:
        """Drop a tenth: expired and soon-to-expire values first."""
        count = max(1, self._max_entries // 10)
        soonest = heapq.nsmallest(count, self._values, key=lambda key: self._values[key][1] or float("inf"))
        for key in soonest:
            del self._values[key]
