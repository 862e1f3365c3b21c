"""Executes the order of a Decision: tries, waits, moves on, under one deadline. The only place that retries."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from bridge.attempt import AttemptLimits
from bridge.catalog.deployments import Deployment
from bridge.clock import Clock
from bridge.config import RetryConfig, StreamConfig
from bridge.errors import (
    BridgeError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceededError,
    NoRouteError,
    ProviderError,
    RateLimitedError,
)
from bridge.reliability.health_book import HealthBook
from bridge.reliability.retry_budget import RetryBudget

AnswerT = TypeVar("AnswerT")
Attempt = Callable[[Deployment, AttemptLimits], Awaitable[AnswerT]]
LEAST_LEFT_S = 0.02
"""With less than this left of the deadline no attempt is begun."""
SHARE_OF_ONE_TARGET = 0.5
"""While others are left, one attempt may use up at most this share of what is left of the deadline."""
OPEN_ENDED_STREAM_S = 600.0
"""How long a stream may go on after its first content when nobody set a deadline for the call itself."""
JITTER_ON_RETRY_AFTER = 0.1


@dataclass(frozen=True, slots=True)
class FailoverPlan:
    """What is to be tried, and within what."""

    targets: tuple[Deployment, ...]
    deadline_s: float
    is_hard_deadline: bool = True
    """False: the deadline ends with the first content of a stream."""
    is_stream: bool = False
    fallback: frozenset[str] = frozenset()
    """Names of the targets that are fallbacks."""
    on_content_filter: Literal["stop", "fallback"] = "stop"
    before_attempt: Callable[[Deployment], Awaitable[None]] | None = None
    """Awaited before every attempt; what it raises ends the call."""


class Failover:
    """Runs plans. One for a bridge: health and retry budget are shared by all calls."""

    def __init__(
        self,
        *,
        retry: RetryConfig,
        streams: StreamConfig,
        health: HealthBook,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._retry = retry
        self._streams = streams
        self._health = health
        self._clock = clock
        self._rng = rng
        self._budget = RetryBudget(share=retry.budget_share, burst=retry.budget_burst)

    async def run(self, plan: FailoverPlan, attempt: Attempt[AnswerT]) -> AnswerT:
        """What the first successful attempt returns.

        Raises:
            ProviderError: The last failure, when no target is left or none may follow it.
            DeadlineExceededError: Time ran out.
            NoRouteError: No target could be tried at all.
        """
        self._budget.call_made()
        course = _Course(plan, ends_at_s=self._clock.monotonic() + plan.deadline_s)
        while (target := course.next_target()) is not None:
            answered = await self._try_target(target, course, attempt)
            if answered is not None:
                return answered[0]
        if course.last_error is not None:
            raise course.last_error
        raise NoRouteError("no deployment can be tried now: every circuit is open or being probed")

    async def _try_target(
        self, target: Deployment, course: "_Course", attempt: Attempt[AnswerT]
    ) -> tuple[AnswerT] | None:
        """The answer in a tuple, None when the next target is to be asked."""
        if not await self._may_try(target, course):
            return None
        for number in range(1, self._retry.max_per_target + 1):
            if course.plan.before_attempt is not None:
                await course.plan.before_attempt(target)
            limits = self._limits(target, course)
            try:
                return (await self._attempt(target, limits, attempt),)
            except ProviderError as error:
                course.failed(target, error)
                if not error.try_next and not course.may_go_on(error):
                    raise
                wait_s = self._wait_s(error, number, course)
                if wait_s is None:
                    return None
                await self._clock.sleep(wait_s)
                if course.has_next() and not self._health.admit(target.name, self._clock.monotonic()):
                    return None
        return None

    async def _attempt(self, target: Deployment, limits: AttemptLimits, attempt: Attempt[AnswerT]) -> AnswerT:
        """One attempt, counted as in flight until its record comes, which ends it in the health book."""
        self._health.started(target.name)
        try:
            return await attempt(target, limits)
        except ProviderError as error:
            if error.record is None:
                self._health.dropped(target.name)
            if error.retry_after_s is not None:
                self._health.pause(target.name, error.retry_after_s, self._clock.monotonic())
            raise
        except BridgeError:
            self._health.dropped(target.name)
            raise

    async def _may_try(self, target: Deployment, course: "_Course") -> bool:
        """Is the target open to requests? A pause it asked for is waited for when nothing else is left."""
        now_s = self._clock.monotonic()
        pause_s = self._health.pause_left_s(target.name, now_s)
        if pause_s > 0:
            if course.has_next():
                return False
            if pause_s > course.ends_at_s - now_s - LEAST_LEFT_S:
                raise RateLimitedError(
                    f"{target.name} asked for a pause of {pause_s:.1f} s more",
                    deployment=target.name,
                    retry_after_s=pause_s,
                ) from course.last_error
            await self._clock.sleep(pause_s)
        is_admitted = self._health.admit(target.name, self._clock.monotonic())
        return is_admitted or (course.last_error is None and not course.has_next())

    def _limits(self, target: Deployment, course: "_Course") -> AttemptLimits:
        left_s = course.ends_at_s - self._clock.monotonic()
        if left_s < LEAST_LEFT_S:
            raise DeadlineExceededError(
                f"no answer within {course.plan.deadline_s:g} s, over all attempts"
            ) from course.last_error
        if course.plan.is_stream:
            total_s = left_s if course.plan.is_hard_deadline else max(left_s, OPEN_ENDED_STREAM_S)
            return AttemptLimits(total_s=total_s, ttft_s=min(self._streams.ttft_s, left_s), idle_s=self._streams.idle_s)
        share = SHARE_OF_ONE_TARGET if course.has_next() else 1.0
        return AttemptLimits(total_s=min(target.timeout_s, left_s * share), idle_s=self._streams.idle_s)

    def _wait_s(self, error: ProviderError, number: int, course: "_Course") -> float | None:
        """Seconds before this target is asked again; None: go on to the next."""
        if not error.retryable or number >= self._retry.max_per_target:
            return None
        left_s = course.ends_at_s - self._clock.monotonic() - LEAST_LEFT_S
        if error.retry_after_s is not None:
            patience_s = min(left_s, self._retry.cap_s) if course.has_next() else left_s
            wait_s = error.retry_after_s * (1 + self._rng.uniform(0, JITTER_ON_RETRY_AFTER))
        else:
            patience_s = left_s
            wait_s = self._rng.uniform(0, min(self._retry.cap_s, self._retry.base_s * 2 ** (number - 1)))
        if wait_s > patience_s or not self._budget.take():
            return None
        return wait_s


class _Course:
    """How far one call has come."""

    def __init__(self, plan: FailoverPlan, *, ends_at_s: float) -> None:
        self.plan = plan
        self.ends_at_s = ends_at_s
        self.last_error: ProviderError | None = None
        self._left = list(plan.targets)
        self._window_to_beat = -1

    def next_target(self) -> Deployment | None:
        """The next one in line, taken out of it."""
        return self._left.pop(0) if self._left else None

    def has_next(self) -> bool:
        """Is another target left?"""
        return bool(self._left)

    def failed(self, target: Deployment, error: ProviderError) -> None:
        """Remember the failure, and take out of the line what it makes pointless."""
        self.last_error = error
        if isinstance(error, ContextLengthError):
            self._window_to_beat = max(self._window_to_beat, target.entry.context_window or 0)
            self._left = [one for one in self._left if (one.entry.context_window or 0) > self._window_to_beat]
        elif isinstance(error, ContentFilterError) and self.plan.on_content_filter == "fallback":
            self._left = [one for one in self._left if one.name in self.plan.fallback]

    def may_go_on(self, error: ProviderError) -> bool:
        """May a target that is left be asked, though the error says no?"""
        is_filtered = isinstance(error, ContentFilterError) and self.plan.on_content_filter == "fallback"
        return is_filtered and self.has_next()
