"""How much of "60 a minute" is left: sliding windows, all checked, then all taken, in one step.

A window is counted in 60 slices of its length. What was taken counts until 60 whole slices have gone by since its own,
so no span of `window_s` ever admits more than `amount`; the price is that room comes back up to one slice (1.7 % of
the window) later than it must. Requests cost 1. Tokens are reserved before a call and settled to what it used.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

SLICES = 60
MINUTE_S, DAY_S = 60, 86_400

Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Window:
    """`amount` of `unit` in any `window_s` seconds, counted under `owner`. The amount may change while it counts."""

    name: str
    """What callers are told: `key-requests-minute`."""
    owner: str
    """Whose it is; `{...}` in it is the hash tag that keeps a tenant in one slot of a Redis cluster."""
    unit: Unit
    amount: int
    window_s: int = MINUTE_S
    slice_ms: int = field(init=False, compare=False)
    """Milliseconds of one slice, rounded up: 60 of them are never less than the window."""
    place: str = field(init=False, compare=False)
    """Where it is counted: owner, unit and length."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slice_ms", -(-self.window_s * 1000 // SLICES))
        object.__setattr__(self, "place", f"{self.owner}|{self.unit}|{self.window_s}")

    def share(self, replicas: int) -> "Window":
        """What one of so many processes may admit by itself; at least 1."""
        return replace(self, amount=max(self.amount // replicas, 1))

    def cost(self, tokens: int) -> int:
        """Units of one request with so many tokens."""
        return 1 if self.unit == "requests" else tokens


class Room(NamedTuple):
    """What is left of a window."""

    window: Window
    left: int
    next_in_s: float
    """When the next units come back, at the earliest; 0: nothing is taken."""
    full_in_s: float
    """When all of it has come back, if nothing more is taken."""


@dataclass(slots=True)
class Taken:
    """Tokens that stand as taken, and where: a settlement goes there and nowhere else."""

    windows: tuple[Window, ...]
    tokens: int
    here: tuple[int, ...]
    """Of each window, the slice of this process's count."""
    shared: tuple[int, ...] | None = None
    """The same of the count that processes share; None: this process alone counted."""


class Verdict(NamedTuple):
    """May a request go on? Otherwise nothing was taken."""

    rooms: tuple[Room, ...]
    taken: Taken | None = None
    refused: tuple[Window, ...] = ()
    retry_after_s: float = 0.0
    """When it would have been admitted, had nobody else taken anything."""


class WindowCounter(Protocol):
    """Who counts."""

    async def take(self, windows: Sequence[Window], tokens: int) -> Verdict | None:
        """One request and `tokens` under every window, or nothing under any. None: nobody can say."""
        ...

    async def settle(self, taken: Taken, used: int) -> None:
        """`used` tokens count in place of those taken: the rest comes back, what is over is charged now."""
        ...


class _Count:
    """What was taken of one window, by slice, oldest first."""

    __slots__ = ("slice_ms", "slices", "total")

    def __init__(self, slice_ms: int) -> None:
        self.slice_ms = slice_ms
        self.total = 0
        self.slices: deque[list[int]] = deque()

    def pass_to(self, moment: int) -> None:
        """Forget the slices that no longer count."""
        slices = self.slices
        while slices and slices[0][0] < moment - SLICES:
            self.total -= slices.popleft()[1]

    def add(self, moment: int, units: int) -> None:
        """Count more in the newest slice."""
        if self.slices and self.slices[-1][0] >= moment:
            self.slices[-1][1] += units
        else:
            self.slices.append([moment, units])
        self.total += units

    def give_back(self, moment: int, units: int) -> None:
        """Count less in the slice where it was taken, if that still counts."""
        for one in self.slices:
            if one[0] == moment:
                back = min(units, one[1])
                one[1] -= back
                self.total -= back
                return

    def freed_at(self, units: int) -> int:
        """The first slice in which `units` of what counts now have come back."""
        freed = 0
        for moment, taken in self.slices:
            freed += taken
            if freed >= units:
                return moment + SLICES + 1
        return 0


class MemoryCounter:
    """Counts for this process, exactly. At most `max_windows` windows; unused ones are forgotten first."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, max_windows: int = 200_000) -> None:
        self._monotonic = monotonic
        self._max_windows = max_windows
        self._counts: dict[str, _Count] = {}

    async def take(self, windows: Sequence[Window], tokens: int) -> Verdict:
        return self.take_now(windows, tokens)

    def take_now(self, windows: Sequence[Window], tokens: int) -> Verdict:
        """`take`, which has nothing to wait for here."""
        now_ms = self._now_ms()
        counts = [self._counted(window, now_ms) for window in windows]
        refused: list[Window] = []
        wait_ms = 0
        for window, count in zip(windows, counts, strict=True):
            over = count.total + window.cost(tokens) - window.amount
            if over > 0:
                refused.append(window)
                wait_ms = max(wait_ms, count.freed_at(over) * window.slice_ms - now_ms)
        if refused:
            return Verdict(_rooms(windows, counts, now_ms), None, tuple(refused), wait_ms / 1000)
        taken = self._taken(windows, counts, tokens, now_ms)
        return Verdict(_rooms(windows, counts, now_ms), taken)

    def count(self, windows: Sequence[Window], tokens: int) -> tuple[int, ...]:
        """Count a request that was admitted elsewhere; the slices of its tokens."""
        now_ms = self._now_ms()
        return self._taken(windows, [self._counted(one, now_ms) for one in windows], tokens, now_ms).here

    def rooms(self, windows: Sequence[Window]) -> tuple[Room, ...]:
        """What is left. Takes nothing."""
        now_ms = self._now_ms()
        return _rooms(windows, [self._counted(window, now_ms) for window in windows], now_ms)

    async def settle(self, taken: Taken, used: int) -> None:
        self.change(taken, used - taken.tokens)
        taken.tokens = used

    def change(self, taken: Taken, units: int) -> None:
        """Count more tokens now, or (below 0) fewer where they were taken."""
        now_ms = self._now_ms()
        for window, moment in zip(taken.windows, taken.here, strict=True):
            count = self._counted(window, now_ms)
            if units > 0:
                count.add(now_ms // window.slice_ms, units)
            elif units < 0:
                count.give_back(moment, -units)

    def _now_ms(self) -> int:
        return int(self._monotonic() * 1000)

    def _counted(self, window: Window, now_ms: int) -> _Count:
        count = self._counts.get(window.place)
        if count is None:
            if len(self._counts) >= self._max_windows:
                self._forget(now_ms)
            count = self._counts[window.place] = _Count(window.slice_ms)
        count.pass_to(now_ms // window.slice_ms)
        return count

    def _taken(self, windows: Sequence[Window], counts: Sequence[_Count], tokens: int, now_ms: int) -> Taken:
        tokened: list[Window] = []
        moments: list[int] = []
        for window, count in zip(windows, counts, strict=True):
            moment = now_ms // window.slice_ms
            if window.unit == "tokens":
                tokened.append(window)
                moments.append(moment)
                if tokens:
                    count.add(moment, tokens)
            else:
                count.add(moment, 1)
        return Taken(tuple(tokened), tokens, tuple(moments))

    def _forget(self, now_ms: int) -> None:
        """Drop windows of which nothing counts any more; and a tenth of the others, oldest first, when all do."""
        for count in self._counts.values():
            count.pass_to(now_ms // count.slice_ms)
        self._counts = {name: count for name, count in self._counts.items() if count.slices}
        if len(self._counts) >= self._max_windows:
            for name in list(self._counts)[: self._max_windows // 10 + 1]:
                del self._counts[name]


def _rooms(windows: Sequence[Window], counts: Sequence[_Count], now_ms: int) -> tuple[Room, ...]:
    return tuple([_room(window, count, now_ms) for window, count in zip(windows, counts, strict=True)])


def _room(window: Window, count: _Count, now_ms: int) -> Room:
    if not count.total:
        return Room(window, window.amount, 0.0, 0.0)
    oldest, newest = count.slices[0][0], count.slices[-1][0]
    return room_of(window, count.total, oldest, newest, now_ms)


def room_of(window: Window, total: int, oldest: int, newest: int, now_ms: int) -> Room:
    """What is left when `total` was taken in the slices from `oldest` to `newest`."""
    width = window.slice_ms
    next_s = ((oldest + SLICES + 1) * width - now_ms) / 1000
    full_s = ((newest + SLICES + 1) * width - now_ms) / 1000
    return Room(window, max(window.amount - total, 0), max(next_s, 0.0), max(full_s, 0.0))
