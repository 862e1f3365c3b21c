"""May a target be asked now? Its pause, its room for calls at a time, its rate limits, and its circuit."""

import asyncio
from dataclasses import dataclass

from bridge.catalog.deployments import Deployment
from bridge.clock import Clock
from bridge.errors import RateLimitedError
from bridge.rate_limits import Grant
from bridge.reliability.health_book import Flight, HealthBook
from bridge.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Passage:
    """Who wants to go through the gate."""

    target: Deployment
    tokens: int = 0
    """The most that the attempt may use."""
    patience_s: float = 0.0
    """How long it may wait; only the last target is waited for."""
    is_last: bool = False
    """No other target is left."""
    is_forced: bool = False
    """It goes even while the circuit is open."""


class Gate:
    """Lets attempts through, one flight each."""

    def __init__(self, health: HealthBook, clock: Clock, throttle: Throttle | None = None) -> None:
        self._health = health
        self._clock = clock
        self._throttle = throttle

    async def enter(self, passage: Passage) -> Flight | None:
        """The flight of an attempt that may be made now; None: another target is to be asked.

        Raises:
            RateLimitedError: It is the last target, and it wants a longer pause than there is time for.
        """
        target, ends_at_s = passage.target, self._clock.monotonic() + passage.patience_s
        pause_s = self._health.pause_left_s(target.name, self._clock.monotonic())
        if pause_s > 0 and not await self._waited(passage, pause_s, ends_at_s, "asked for a pause of"):
            return None
        if target.in_flight_limit is not None and not await self._has_room(passage, target.in_flight_limit, ends_at_s):
            return None
        if self._throttle is None:
            return self._health.begin(target.name, self._clock.monotonic(), is_forced=passage.is_forced)
        grant = await self._taken(self._throttle, passage, ends_at_s)
        if grant is None:
            return None
        flight = self._health.begin(target.name, self._clock.monotonic(), is_forced=passage.is_forced)
        if flight is None:
            await self._throttle.settle(grant, 0, self._clock.monotonic())
        else:
            flight.taken = grant
        return flight

    async def settle(self, flight: Flight) -> None:
        """What the flight used counts in place of what it took from the throttle. Idempotent."""
        if self._throttle is None or flight.taken is None or not flight.is_over:
            return
        grant, flight.taken = flight.taken, None
        await self._throttle.settle(grant, flight.used_tokens, self._clock.monotonic())

    async def _waited(self, passage: Passage, seconds: float, ends_at_s: float, what: str) -> bool:
        """Wait for the last target. False: others are left, so they are asked instead."""
        if not passage.is_last:
            return False
        if seconds > ends_at_s - self._clock.monotonic():
            name = passage.target.name
            raise RateLimitedError(f"{name} {what} {seconds:.1f} s more", deployment=name, retry_after_s=seconds)
        await self._clock.sleep(seconds)
        return True

    async def _has_room(self, passage: Passage, limit: int, ends_at_s: float) -> bool:
        """Wait until fewer than `limit` calls are under way at the target."""
        name = passage.target.name
        while self._health.in_flight(name) >= limit:
            if not passage.is_last:
                return False
            try:
                async with asyncio.timeout(max(ends_at_s - self._clock.monotonic(), 0.0)):
                    await self._health.one_has_ended(name)
            except TimeoutError as error:
                said = f"{name} is busy with {limit} calls, which is all it may have at a time"
                raise RateLimitedError(said, deployment=name) from error
        return True

    async def _taken(self, throttle: Throttle, passage: Passage, ends_at_s: float) -> Grant | None:
        """Take from the rate limits, after a wait if it is the last target."""
        name = passage.target.name
        while (grant := await throttle.take(name, passage.tokens, self._clock.monotonic())) is None:
            wait_s = max(throttle.wait_s(name, passage.tokens, self._clock.monotonic()), LEAST_WAIT_S)
            if not await self._waited(passage, wait_s, ends_at_s, "has no room within its rate limits for"):
                return None
        return grant


LEAST_WAIT_S = 0.01
"""Between two looks at a rate limit that other processes use too."""
