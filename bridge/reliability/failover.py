"""Executes the order of a Decision: tries, waits, moves on, under one deadline. The only place that retries."""

import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.clock import Clock
from bridge.config import RetryConfig, StreamConfig
from bridge.errors import BridgeError, CredentialError, NoRouteError, ProviderError
from bridge.reliability.course import LEAST_LEFT_S, Course, FailoverPlan, HedgePlan, Trial, retry_patience_s
from bridge.reliability.gate import Gate, Passage
from bridge.reliability.health_book import Flight, HealthBook
from bridge.reliability.hedging import hedged
from bridge.reliability.key_ring import NOT_THE_DEPLOYMENTS, KeyRing
from bridge.reliability.retry_budget import RetryBudget
from bridge.throttle import Throttle

__all__ = ["Failover", "FailoverPlan", "Trial"]

AnswerT = TypeVar("AnswerT")
Attempt = Callable[[Trial], Coroutine[Any, Any, AnswerT]]
JITTER_ON_RETRY_AFTER = 0.1


@dataclass(slots=True)
class _Visit:
    """The tries at one target in one call."""

    target: Deployment
    keys: tuple[Deployment, ...]
    is_tenants: bool = False
    """The key is the caller's own."""
    tries: int = 0
    beside: Deployment | None = None
    """The target that is asked at the same time."""
    was_asked: bool = False
    position: int = 0
    """Of the key in use."""

    @property
    def keyed(self) -> Deployment:
        return self.keys[self.position]

    @property
    def has_spare_key(self) -> bool:
        return self.position + 1 < len(self.keys)

    @property
    def speaks_for_a_key(self) -> bool:
        """Does a refusal say something about the key in use, and nothing about the deployment?"""
        return self.is_tenants or self.has_spare_key


class Failover:
    """Runs plans. One for a bridge: health, keys and retry budget are shared by all calls."""

    def __init__(
        self,
        *,
        retry: RetryConfig,
        streams: StreamConfig,
        health: HealthBook,
        clock: Clock,
        rng: random.Random,
        keys: KeyRing | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._retry = retry
        self._streams = streams
        self._health = health
        self._clock = clock
        self._rng = rng
        self._keys = keys or KeyRing(refused_key_s=retry.refused_key_s, clock=clock)
        self._gate = Gate(health, clock, throttle)
        self._budget = RetryBudget(share=retry.budget_share, burst=retry.budget_burst)

    async def run(
        self,
        plan: FailoverPlan,
        attempt: Attempt[AnswerT],
        *,
        discard: Callable[[AnswerT], Awaitable[None]] | None = None,
    ) -> AnswerT:
        """What the first successful attempt returns. `discard` is given an answer that came second in a hedge.

        Raises:
            ProviderError: The last failure, when no target is left or none may follow it.
            DeadlineExceededError: Time ran out.
            NoRouteError: No target could be tried at all.
        """
        self._budget.call_made()
        course = Course(plan, began_s=self._clock.monotonic())
        while (target := course.next_target()) is not None:
            hedge = course.take_hedge()
            if hedge is None:
                answered = await self._visited(target, course, attempt)
            else:
                answered = await self._hedged(target, course, attempt, hedge, discard)
            if answered is not None:
                return answered[0]
        if course.last_error is not None:
            raise course.last_error
        raise NoRouteError("no deployment can be tried now: every circuit is open or being probed")

    def ended(self, flight: Flight, record: AttemptRecord) -> None:
        """An attempt has its record. `settle` follows as soon as something may be awaited."""
        self._health.ended(flight, record, self._clock.monotonic())

    async def settle(self, flight: Flight) -> None:
        """Give back to the rate limits what the flight did not use. Idempotent."""
        await self._gate.settle(flight)

    async def _visited(self, target: Deployment, course: Course, attempt: Attempt[AnswerT]) -> tuple[AnswerT] | None:
        """The answer in a tuple, None when the next target is to be asked."""
        visit = self._visit(target, course)
        return None if visit is None else await self._tried(visit, course, attempt)

    async def _hedged(
        self,
        target: Deployment,
        course: Course,
        attempt: Attempt[AnswerT],
        hedge: HedgePlan,
        discard: Callable[[AnswerT], Awaitable[None]] | None,
    ) -> tuple[AnswerT] | None:
        """Like `_visited`, with the next target asked too when this one is slow."""

        async def beside() -> tuple[AnswerT] | None:
            other = course.next_target() if hedge.budget.take() else None
            if other is None:
                return None
            visit = self._visit(other, course)
            try:
                if visit is None:
                    return None
                visit.beside = target
                return await self._tried(visit, course, attempt)
            except ProviderError:
                raise
            except BridgeError:  # no money for two at a time, for one: the first goes on alone
                return None
            finally:
                if visit is None or not visit.was_asked:
                    course.put_back(other)

        async def dropped(answer: tuple[AnswerT]) -> None:
            if discard is not None:
                await discard(answer[0])

        return await hedged(
            lambda: self._visited(target, course, attempt),
            beside,
            after_s=hedge.after_s,
            discard=dropped,
        )

    def _visit(self, target: Deployment, course: Course) -> _Visit | None:
        """The visit with the keys that may be used; None when there are none, and another target may do."""
        org_id = course.plan.org_id
        is_tenants = self._keys.tenant_key(target, org_id) is not None
        keys = self._keys.usable(target, org_id)
        if keys:
            return _Visit(target, keys, is_tenants)
        if course.has_next() or course.last_error is not None:
            return None
        if is_tenants:
            said = f"{target.name}: the organisation's own key was refused or is spent; it is not tried for a while"
            raise CredentialError(said, deployment=target.name)
        return _Visit(target, (target,))

    async def _tried(self, visit: _Visit, course: Course, attempt: Attempt[AnswerT]) -> tuple[AnswerT] | None:
        """Tries at one target: again after a pause, and with its next key at once."""
        while True:
            trial = await self._trial(visit, course)
            if trial is None:
                return None
            try:
                return (await self._made(trial, attempt),)
            except ProviderError as error:
                self._noted(visit, error)
                remedy = course.failed(visit.target, error, has_spare_key=visit.has_spare_key)
                if remedy == "stop":
                    raise
                if remedy == "rotate":
                    visit.position += 1
                    continue
                visit.tries += 1
                wait_s = self._wait_s(error, visit.tries, course) if remedy == "retry" else None
            if wait_s is None:
                return None
            await self._clock.sleep(wait_s)

    async def _trial(self, visit: _Visit, course: Course) -> Trial | None:
        """The next attempt at a target, through the gate and with its money held; None: it may not be asked now."""
        plan, now_s = course.plan, self._clock.monotonic()
        if course.ends_at_s - now_s < LEAST_LEFT_S:
            course.limits(visit.keyed, self._streams, now_s)  # raises
        is_last = not course.has_next() and visit.beside is None
        flight = await self._gate.enter(
            Passage(
                target=visit.target,
                tokens=plan.max_tokens,
                patience_s=course.ends_at_s - now_s - LEAST_LEFT_S,
                is_last=is_last,
                is_forced=is_last and (course.last_error is None or visit.was_asked),
            )
        )
        if flight is None:
            return None
        if visit.speaks_for_a_key:
            flight.forgiven = NOT_THE_DEPLOYMENTS
        visit.was_asked = True
        try:
            if plan.before_attempt is not None:
                await plan.before_attempt(visit.target, visit.beside)
            return Trial(visit.keyed, course.limits(visit.keyed, self._streams, self._clock.monotonic()), flight)
        except BaseException:
            self._health.dropped(flight)
            await self._gate.settle(flight)
            raise

    async def _made(self, trial: Trial, attempt: Attempt[AnswerT]) -> AnswerT:
        """One attempt. Its record ends the flight; where there is none, it ends here."""
        try:
            answer = await attempt(trial)
        except BaseException:
            self._health.dropped(trial.flight)
            await self._gate.settle(trial.flight)
            raise
        await self._gate.settle(trial.flight)
        return answer

    def _noted(self, visit: _Visit, error: ProviderError) -> None:
        """Remember a refused or spent key, or else the pause that the deployment asked for."""
        has_many = visit.is_tenants or len(visit.keys) > 1
        if has_many or isinstance(error, CredentialError):
            self._keys.failed(visit.keyed, error)
        if error.retry_after_s is not None and not visit.speaks_for_a_key:
            self._health.pause(visit.target.name, error.retry_after_s, self._clock.monotonic())

    def _wait_s(self, error: ProviderError, tries: int, course: Course) -> float | None:
        """Seconds before this target is asked again; None: go on to the next."""
        if tries >= self._retry.max_per_target:
            return None
        if error.retry_after_s is not None:
            wait_s = error.retry_after_s * (1 + self._rng.uniform(0, JITTER_ON_RETRY_AFTER))
        else:
            wait_s = self._rng.uniform(0, min(self._retry.cap_s, self._retry.base_s * 2 ** (tries - 1)))
        patience_s = retry_patience_s(error, course, self._retry, self._clock.monotonic())
        return wait_s if wait_s <= patience_s and self._budget.take() else None
