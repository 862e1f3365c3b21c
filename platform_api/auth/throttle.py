"""Brakes on guessing passwords: failures are counted in memory, nobody is locked out for good."""

from collections import OrderedDict, deque
from dataclasses import dataclass

from bridge.clock import Clock
from platform_api.errors import ThrottledError

BLOCK_S = 900.0
MAX_NAMES = 50_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `failures` within `window_s` seconds."""

    failures: int
    window_s: float


PER_ACCOUNT_AND_ADDRESS = (Limit(6, 60.0), Limit(12, 3600.0))
PER_ADDRESS = (Limit(60, 60.0), Limit(300, 3600.0))


class Throttle:
    """Counts failures by name; over a limit the name is blocked for 15 minutes."""

    def __init__(self, clock: Clock, *, max_names: int = MAX_NAMES) -> None:
        self._clock = clock
        self._max_names = max_names
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._blocked: OrderedDict[str, float] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many names have failures counted; the oldest are forgotten first."""
        return len(self._failures)

    def check(self, *names: str) -> None:
        """Raises ThrottledError while one of the names is blocked."""
        now = self._clock.monotonic()
        for name in names:
            until = self._blocked.get(name, 0.0)
            if until > now:
                raise ThrottledError("too many failed attempts; wait before the next one", retry_after_s=until - now)
            self._blocked.pop(name, None)

    def failed(self, name: str, limits: tuple[Limit, ...]) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        times = self._failures.setdefault(name, deque(maxlen=max(limit.failures for limit in limits)))
        self._failures.move_to_end(name)
        times.append(now)
        if any(sum(1 for at in times if now - at < limit.window_s) >= limit.failures for limit in limits):
            self._blocked[name] = now + BLOCK_S
            times.clear()
        for kept in (self._failures, self._blocked):
            while len(kept) > self._max_names:
                kept.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failures.pop(name, None)
