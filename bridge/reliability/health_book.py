"""What is known of every deployment right now: fed by attempt records, read as a Snapshot."""

import random
from collections.abc import Iterable

from bridge.call_record import AttemptRecord
from bridge.config import BreakerConfig
from bridge.decision import DeploymentState
from bridge.errors import ErrorClass
from bridge.reliability.circuit_breaker import CircuitBreaker
from bridge.reliability.latency_monitor import LatencyMonitor

TELLS_NOTHING: frozenset[ErrorClass] = frozenset({"invalid_request", "content_filter"})
"""The deployment answered; the request was the problem."""


class _Entry:
    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.latency = LatencyMonitor()
        self.in_flight = 0
        self.paused_until_s = 0.0
        self.last_read: tuple[int, DeploymentState] | None = None
        """A state that was worked out in this step of the window, while nothing has happened since."""


class HealthBook:
    """Health of all deployments by name."""

    def __init__(self, config: BreakerConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._step_s = config.window_s / config.buckets
        self._entries: dict[str, _Entry] = {}

    def states(self, deployments: Iterable[str], now_s: float) -> dict[str, DeploymentState]:
        """What is known of each that was ever called; the others are left out."""
        entries, step = self._entries, int(now_s / self._step_s)
        found: dict[str, DeploymentState] = {}
        for name in deployments:
            entry = entries.get(name)
            if entry is not None:
                read = entry.last_read
                found[name] = read[1] if read is not None and read[0] == step else self._state(entry, now_s, step)
        return found

    def all_states(self, now_s: float) -> dict[str, DeploymentState]:
        """What is known of every deployment that was ever called."""
        return self.states(self._entries, now_s)

    def admit(self, deployment: str, now_s: float) -> bool:
        """May a request go there now? See CircuitBreaker.admit."""
        return self._entry(deployment).breaker.admit(now_s)

    def pause_left_s(self, deployment: str, now_s: float) -> float:
        """Seconds left of a pause the deployment asked for."""
        entry = self._entries.get(deployment)
        return 0.0 if entry is None else max(entry.paused_until_s - now_s, 0.0)

    def pause(self, deployment: str, seconds: float, now_s: float) -> None:
        """Leave it alone for `seconds`: it said so."""
        entry = self._entry(deployment)
        entry.paused_until_s = max(entry.paused_until_s, now_s + seconds)

    def started(self, deployment: str) -> None:
        """A request goes out."""
        self._entry(deployment).in_flight += 1

    def dropped(self, deployment: str) -> None:
        """A request that was counted as started came to nothing, and left no record."""
        self._end(deployment).breaker.abandoned()

    def observe(self, record: AttemptRecord, now_s: float) -> None:
        """An attempt has ended."""
        entry = self._end(record.deployment)
        if record.outcome == "cancelled":
            entry.breaker.abandoned()
        elif record.outcome == "failed" and record.error_class not in TELLS_NOTHING:
            entry.breaker.failed(now_s)
        else:
            entry.breaker.succeeded(now_s)
        if record.outcome == "succeeded":
            entry.latency.add(
                total_s=record.duration_ms / 1000,
                ttft_s=None if record.ttft_ms is None else record.ttft_ms / 1000,
                output_tokens=record.usage.output_tokens if record.usage is not None else 0,
                now_s=now_s,
            )

    def _end(self, deployment: str) -> _Entry:
        entry = self._entry(deployment)
        entry.in_flight = max(entry.in_flight - 1, 0)
        return entry

    def _entry(self, deployment: str) -> _Entry:
        """For whoever changes it."""
        entry = self._entries.get(deployment)
        if entry is None:
            entry = self._entries[deployment] = _Entry(CircuitBreaker(self._config, self._rng))
        entry.last_read = None
        return entry

    def _state(self, entry: _Entry, now_s: float, step: int) -> DeploymentState:
        """The state now. One that does not change by time alone is kept until something happens."""
        breaker = entry.breaker
        state = DeploymentState(
            circuit=breaker.state(now_s),
            retry_at_s=max(breaker.retry_in_s(now_s), entry.paused_until_s - now_s, 0.0),
            success_share=breaker.success_share(now_s),
            ttft_s=entry.latency.ttft_s,
            s_per_output_token=entry.latency.s_per_output_token,
            latency_p95_s=entry.latency.quantile_s(0.95),
            in_flight=entry.in_flight,
            ramp_share=breaker.ramp_share(now_s),
        )
        if state.circuit == "closed" and state.retry_at_s == 0.0 and state.ramp_share >= 1.0:
            entry.last_read = step, state
        return state
