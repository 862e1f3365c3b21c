"""Takes a failing deployment out, probes it, and lets it back in by and by.

closed -> open on too many failures; open -> half open when its pause is over; half open -> closed after enough
probes, open again on a failed one. After closing, the share of traffic it may take rises in steps. Time and
randomness are handed in.
"""

import random
from dataclasses import dataclass
from typing import Literal

from bridge.config import BreakerConfig
from bridge.reliability.health import RollingWindow

CircuitState = Literal["closed", "half_open", "open"]
JITTER = 0.2
"""A pause is shortened by up to this share, never lengthened: after a minute's outage the way back is under 30 s."""
PROBE_PATIENCE_S = 1.0
"""How soon another look is worth it while a probe is under way."""


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
        self._times_opened = 0
        self._opening: _Opening | None = None
        self._closed_at_s: float | None = None

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

    def admit(self, now_s: float) -> bool:
        """May a request go there now? In half-open state the one that may is the probe."""
        if self._opening is None:
            return True
        if now_s < self._opening.until_s or self._opening.is_probing:
            return False
        self._opening.is_probing = True
        return True

    def succeeded(self, now_s: float) -> None:
        """A request was answered."""
        self._consecutive = 0
        self._window.add(now_s, is_success=True)
        opening = self._opening
        if opening is None:
            if self._closed_at_s is not None and self.ramp_share(now_s) >= 1.0:
                self._closed_at_s, self._times_opened = None, 0
            return
        opening.is_probing = False
        opening.probes_passed += 1
        if opening.probes_passed >= self._config.close_after:
            self._opening = None
            self._closed_at_s = now_s
            self._window.clear()

    def failed(self, now_s: float, *, retry_after_s: float | None = None) -> None:
        """A request failed in a way that may pass."""
        self._consecutive += 1
        self._window.add(now_s, is_success=False)
        if self._opening is not None:
            if self._opening.is_probing:
                self._open(now_s, retry_after_s)
            return
        if self._has_tripped(now_s):
            self._open(now_s, retry_after_s)

    def abandoned(self) -> None:
        """A request ended without telling anything: its caller left."""
        if self._opening is not None:
            self._opening.is_probing = False

    def _has_tripped(self, now_s: float) -> bool:
        if self._consecutive >= self._config.consecutive:
            return True
        successes, failures = self._window.counts(now_s)
        total = successes + failures
        return total >= self._config.min_requests and failures / total >= self._config.failure_share

    def _open(self, now_s: float, retry_after_s: float | None) -> None:
        pause_s = min(self._config.open_s * 2**self._times_opened, self._config.open_max_s)
        pause_s = max(pause_s * (1 - self._rng.uniform(0, JITTER)), retry_after_s or 0.0)
        self._times_opened += 1
        self._opening = _Opening(until_s=now_s + pause_s)
        self._closed_at_s = None
