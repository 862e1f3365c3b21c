"""Takes a failing deployment out, probes it, and lets it back in by and by.

closed -> open on too many failures; open -> half open when its pause is over; half open -> closed after enough
probes, open again on a failed one. After closing, the share of traffic it may take rises in steps. Time and
randomness are handed in.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bridge.config import BreakerConfig
from bridge.reliability.health import RollingWindow

CircuitState = Literal["closed", "half_open", "open"]
JITTER = 0.2
"""A pause is shortened by up to this share, never lengthened: after a minute's outage the way back is under 30 s."""
PROBE_PATIENCE_S = 1.0
"""How soon another look is worth it while a probe is under way."""
MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Ticket:
    """Shows when a request was let through: what becomes of it counts for that state of the circuit only."""

    period: int
    """How often the circuit had opened by then."""
    is_probe: bool = False


@dataclass(slots=True)
class _Opening:
    """Since when and until when the circuit is not closed."""

    until_s: float
    probes_passed: int = 0
    is_probing: bool = False


class CircuitBreaker:
    """The circuit of one deployment."""

    def __init__(self, config: BreakerConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._window = RollingWindow(window_s=config.window_s, buckets=config.buckets)
        self._consecutive = 0
        self._doublings = 0
        self._opening: _Opening | None = None
        self._closed_at_s: float | None = None
        self._succeeded_at_s = float("-inf")
        self._ticket = Ticket(0)
        self.on_open: Callable[[float], None] = _ignore
        """Told the pause, in seconds, whenever failures open it."""

    def state(self, now_s: float) -> CircuitState:
        """An open circuit whose pause is over is half open."""
        if self._opening is None:
            return "closed"
        return "open" if now_s < self._opening.until_s else "half_open"

    def retry_in_s(self, now_s: float) -> float:
        """Seconds until a probe is due; 0 when one may start now or none is needed."""
        opening = self._opening
        if opening is None:
            return 0.0
        if now_s < opening.until_s:
            return opening.until_s - now_s
        return PROBE_PATIENCE_S if opening.is_probing else 0.0

    def ramp_share(self, now_s: float) -> float:
        """Share of its traffic that it may take, in (0, 1]."""
        if self._closed_at_s is None:
            return 1.0
        step = int((now_s - self._closed_at_s) / self._config.ramp_step_s)
        return self._config.ramp[min(max(step, 0), len(self._config.ramp) - 1)]

    def success_share(self, now_s: float) -> float | None:
        """Share of successes in the window."""
        return self._window.success_share(now_s)

    def admit(self, now_s: float) -> Ticket | None:
        """The ticket of a request that may go there now, else None. In half-open state the one that may is a probe."""
        opening = self._opening
        if opening is None:
            return self._ticket
        if now_s < opening.until_s or opening.is_probing:
            return None
        opening.is_probing = True
        return Ticket(self._ticket.period, is_probe=True)

    def force(self) -> Ticket:
        """The ticket of a request that goes there whatever the state, since there is nowhere else to go."""
        return self._ticket

    def succeeded(self, ticket: Ticket, now_s: float) -> None:
        """A request was answered."""
        self._succeeded_at_s = now_s
        self._window.add(now_s, is_success=True)
        opening = self._opening
        if opening is None:
            self._consecutive = 0
            if self._closed_at_s is not None and self.ramp_share(now_s) >= 1.0:
                self._closed_at_s, self._doublings = None, 0
        elif ticket.period == self._ticket.period:
            self._consecutive = 0
            self.abandoned(ticket)
            opening.probes_passed += 1
            if opening.probes_passed >= self._config.close_after:
                self._opening, self._closed_at_s = None, now_s
                self._window.clear()

    def failed(self, ticket: Ticket, now_s: float) -> None:
        """A request failed in a way that may pass."""
        self._window.add(now_s, is_success=False)
        if self._opening is None:
            self._consecutive += 1
            if self._has_tripped(now_s):
                self._open(now_s)
        elif ticket.is_probe and ticket.period == self._ticket.period:
            self._open(now_s)

    def abandoned(self, ticket: Ticket) -> None:
        """A request ended without telling anything: its caller left."""
        if ticket.is_probe and self._opening is not None and ticket.period == self._ticket.period:
            self._opening.is_probing = False

    def hold(self, until_s: float) -> None:
        """The deployment asked for a pause: an open circuit stays so at least until then."""
        if self._opening is not None:
            self._opening.until_s = max(self._opening.until_s, until_s)

    def warned(self, opened_at_s: float, until_s: float) -> bool:
        """Another process has opened its circuit: open too, unless a request was answered since. Did it open?"""
        if self._opening is not None or self._succeeded_at_s > opened_at_s:
            return False
        self._enter(until_s)
        return True

    def _has_tripped(self, now_s: float) -> bool:
        if self._consecutive >= self._config.consecutive:
            return True
        successes, failures = self._window.counts(now_s)
        total = successes + failures
        return total >= self._config.min_requests and failures / total >= self._config.failure_share

    def _open(self, now_s: float) -> None:
        pause_s = min(self._config.open_s * 2**self._doublings, self._config.open_max_s)
        pause_s *= 1 - self._rng.uniform(0, JITTER)
        self._doublings = min(self._doublings + 1, MAX_DOUBLINGS)
        self._enter(now_s + pause_s)
        self.on_open(pause_s)

    def _enter(self, until_s: float) -> None:
        self._consecutive = 0
        self._opening = _Opening(until_s=until_s)
        self._closed_at_s = None
        self._ticket = Ticket(self._ticket.period + 1)


def _ignore(_pause_s: float) -> None:
    pass
