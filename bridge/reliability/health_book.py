"""What is known of every deployment right now: fed by attempt records, read as a Snapshot."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bridge.call_record import AttemptRecord
from bridge.config import BreakerConfig
from bridge.decision import DeploymentState
from bridge.errors import ErrorClass
from bridge.rate_limits import Grant
from bridge.reliability.circuit_breaker import CircuitBreaker, Ticket
from bridge.reliability.latency_monitor import LatencyMonitor

TELLS_NOTHING: frozenset[ErrorClass] = frozenset({"invalid_request", "content_filter"})
"""The deployment answered; the request was the problem."""
NONE_FORGIVEN: frozenset[ErrorClass] = frozenset()


@dataclass(slots=True)
class Flight:
    """One request under way at a deployment. It ends once."""

    deployment: str
    ticket: Ticket
    forgiven: frozenset[ErrorClass] = NONE_FORGIVEN
    """Failures that say something about its key, not about the deployment."""
    taken: Grant | None = None
    """What the throttle granted for it, until it is settled."""
    used_tokens: int = 0
    is_over: bool = False


class _Entry:
    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.latency = LatencyMonitor()
        self.in_flight = 0
        self.paused_until_s = 0.0
        self.last_traffic_s = float("-inf")
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.last_read: tuple[int, DeploymentState] | None = None
        """A state that was worked out in this step of the window, while nothing has happened since."""


class HealthBook:
    """Health of all deployments by name."""

    def __init__(self, config: BreakerConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._step_s = config.window_s / config.buckets
        self._entries: dict[str, _Entry] = {}
        self.on_open: Callable[[str, float], None] = _ignore
        """Told the deployment and the pause, in seconds, whenever a circuit opens by failures here."""

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

    def begin(self, deployment: str, now_s: float, *, is_forced: bool = False) -> Flight | None:
        """A request that goes out now; None when the circuit lets none through. Every flight must be ended."""
        entry = self._entry(deployment)
        ticket = entry.breaker.admit(now_s) or (entry.breaker.force() if is_forced else None)
        if ticket is None:
            return None
        entry.in_flight += 1
        return Flight(deployment, ticket)

    def dropped(self, flight: Flight) -> None:
        """The flight came to nothing, and left no record. Idempotent."""
        if not flight.is_over:
            self._end(flight).breaker.abandoned(flight.ticket)

    def ended(self, flight: Flight, record: AttemptRecord, now_s: float) -> None:
        """The flight's attempt has ended. Idempotent."""
        if flight.is_over:
            return
        flight.used_tokens = 0 if record.usage is None else record.usage.total_tokens
        self._learn(self._end(flight), record, flight, now_s)

    def observe(self, record: AttemptRecord, now_s: float) -> None:
        """An attempt has ended that was made without a flight."""
        entry = self._entry(record.deployment)
        self._learn(entry, record, Flight(record.deployment, entry.breaker.force()), now_s)

    def probed(self, flight: Flight, *, has_failed: bool, now_s: float) -> None:
        """A probe has ended. That it went well does not prove that calls would."""
        entry = self._end(flight)
        if has_failed:
            entry.breaker.failed(flight.ticket, now_s)
        else:
            entry.breaker.abandoned(flight.ticket)

    def last_traffic_s(self, deployment: str) -> float:
        """When a call ended there; minus infinity before the first."""
        entry = self._entries.get(deployment)
        return float("-inf") if entry is None else entry.last_traffic_s

    def pause_left_s(self, deployment: str, now_s: float) -> float:
        """Seconds left of a pause the deployment asked for."""
        entry = self._entries.get(deployment)
        return 0.0 if entry is None else max(entry.paused_until_s - now_s, 0.0)

    def pause(self, deployment: str, seconds: float, now_s: float) -> None:
        """Leave it alone for `seconds`: it said so."""
        entry = self._entry(deployment)
        entry.paused_until_s = max(entry.paused_until_s, now_s + seconds)
        entry.breaker.hold(entry.paused_until_s)

    def warned(self, deployment: str, *, age_s: float, left_s: float, now_s: float) -> bool:
        """Another process opened its circuit `age_s` ago, for `left_s` more. Did it open here too?"""
        return self._entry(deployment).breaker.warned(now_s - age_s, now_s + left_s)

    def in_flight(self, deployment: str) -> int:
        """Requests that are under way there."""
        entry = self._entries.get(deployment)
        return 0 if entry is None else entry.in_flight

    async def one_has_ended(self, deployment: str) -> None:
        """Wait until a flight there ends. Who waits longest is woken first."""
        entry, ended = self._entry(deployment), asyncio.get_running_loop().create_future()
        entry.waiting.append(ended)
        try:
            await ended
        except asyncio.CancelledError:
            if ended.done() and not ended.cancelled():
                _wake(entry)
            raise

    def slow_s(self, deployment: str, quantile: float, *, is_stream: bool) -> float | None:
        """Seconds that an answer (a stream: its first content) seldom takes longer than; None on little experience."""
        entry = self._entries.get(deployment)
        return None if entry is None else entry.latency.slow_s(quantile, is_stream=is_stream)

    def _learn(self, entry: _Entry, record: AttemptRecord, flight: Flight, now_s: float) -> None:
        error_class = record.error_class
        entry.last_traffic_s = now_s
        if record.outcome == "cancelled" or error_class in flight.forgiven:
            entry.breaker.abandoned(flight.ticket)
        elif record.outcome == "failed" and error_class not in TELLS_NOTHING:
            entry.breaker.failed(flight.ticket, now_s)
        else:
            entry.breaker.succeeded(flight.ticket, now_s)
        if record.outcome == "succeeded":
            entry.latency.add(
                total_s=record.duration_ms / 1000,
                ttft_s=None if record.ttft_ms is None else record.ttft_ms / 1000,
                output_tokens=record.usage.output_tokens if record.usage is not None else 0,
                now_s=now_s,
            )

    def _end(self, flight: Flight) -> _Entry:
        flight.is_over = True
        entry = self._entry(flight.deployment)
        entry.in_flight -= 1
        if entry.waiting:
            _wake(entry)
        return entry

    def _entry(self, deployment: str) -> _Entry:
        """For whoever changes it."""
        entry = self._entries.get(deployment)
        if entry is None:
            entry = self._entries[deployment] = _Entry(CircuitBreaker(self._config, self._rng))
            entry.breaker.on_open = partial(self._opened, deployment)
        entry.last_read = None
        return entry

    def _opened(self, deployment: str, pause_s: float) -> None:
        self.on_open(deployment, pause_s)

    def _state(self, entry: _Entry, now_s: float, step: int) -> DeploymentState:
        """The state now. One that does not change by time alone is kept until something happens."""
        breaker = entry.breaker
        state = DeploymentState(
            circuit=breaker.state(now_s),
            retry_at_s=max(breaker.retry_in_s(now_s), entry.paused_until_s - now_s, 0.0),
            success_share=breaker.success_share(now_s),
            ttft_s=entry.latency.ttft_s,
            s_per_output_token=entry.latency.s_per_output_token,
            latency_p95_s=entry.latency.quantile_s(0.95, now_s),
            in_flight=entry.in_flight,
            ramp_share=breaker.ramp_share(now_s),
        )
        if state.circuit == "closed" and state.retry_at_s == 0.0 and state.ramp_share >= 1.0:
            entry.last_read = step, state
        return state


def _ignore(_deployment: str, _pause_s: float) -> None:
    pass


def _wake(entry: _Entry) -> None:
    """Tell the first that still waits."""
    while entry.waiting:
        first = entry.waiting.popleft()
        if not first.done():
            first.set_result(None)
            return
