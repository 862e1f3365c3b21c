"""How far one call has come: what is left to try, and what is dead for this request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from bridge.attempt import AttemptLimits
from bridge.catalog.deployments import Deployment
from bridge.config import RetryConfig, StreamConfig
from bridge.errors import ContentFilterError, ContextLengthError, DeadlineExceededError, ProviderError
from bridge.reliability.health_book import Flight
from bridge.reliability.remedies import Remedy, remedy_for

LEAST_LEFT_S = 0.02
"""With less than this left of the deadline no attempt is begun."""
SHARE_OF_ONE_TARGET = 0.5
"""While others are left, one attempt may use up at most this share of what is left of the deadline."""
OPEN_ENDED_STREAM_S = 600.0
"""How long a stream may go on after its first content when nobody set a deadline for the call itself."""


class TakesToken(Protocol):
    """A bucket of tokens."""

    def take(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """When a second target is asked beside the first."""

    after_s: float
    budget: TakesToken


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
    org_id: str = ""
    """Whose keys are used."""
    input_tokens: int = 0
    """Of the prompt, estimated: a long one may take its time."""
    max_tokens: int = 0
    """The most that one attempt may use, for rate limits."""
    hedge: HedgePlan | None = None
    before_attempt: Callable[[Deployment, Deployment | None], Awaitable[None]] | None = None
    """Awaited before every attempt, with the target and the one that is asked at the same time; what it raises ends
    the call.
    """


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt that is to be made. Whoever makes it ends the flight with the attempt's record."""

    target: Deployment
    """With the key that is used."""
    limits: AttemptLimits
    flight: Flight


class Course:
    """One call on its way through its targets."""

    def __init__(self, plan: FailoverPlan, *, began_s: float) -> None:
        self.plan = plan
        self.ends_at_s = began_s + plan.deadline_s
        self.last_error: ProviderError | None = None
        self._left = list(plan.targets)
        self._window_to_beat = -1
        self._hedge = plan.hedge

    def next_target(self) -> Deployment | None:
        """The next one in line, taken out of it."""
        return self._left.pop(0) if self._left else None

    def put_back(self, target: Deployment) -> None:
        """It was not asked after all: it is the next one again."""
        self._left.insert(0, target)

    def has_next(self) -> bool:
        """Is another target left?"""
        return bool(self._left)

    def take_hedge(self) -> HedgePlan | None:
        """The plan to hedge, for the first attempt of the call only."""
        hedge, self._hedge = self._hedge, None
        return hedge if self._left else None

    def failed(self, target: Deployment, error: ProviderError, *, has_spare_key: bool) -> Remedy:
        """Remember the failure, and take out of the line what it makes pointless. What is to be done now."""
        self.last_error = error
        remedy = remedy_for(
            error,
            has_spare_key=has_spare_key,
            may_refuse_elsewhere=self.plan.on_content_filter == "fallback",
        )
        if isinstance(error, ContextLengthError):
            self._window_to_beat = max(self._window_to_beat, target.entry.context_window or 0)
            self._left = [one for one in self._left if (one.entry.context_window or 0) > self._window_to_beat]
        elif isinstance(error, ContentFilterError) and remedy == "narrow":
            self._left = [one for one in self._left if one.name in self.plan.fallback]
        return remedy

    def limits(self, target: Deployment, streams: StreamConfig, now_s: float) -> AttemptLimits:
        """How long an attempt at the target may take.

        Raises:
            DeadlineExceededError: Nothing of the call's time is left.
        """
        left_s, plan = self.ends_at_s - now_s, self.plan
        if left_s < LEAST_LEFT_S:
            raise DeadlineExceededError(
                f"no answer within {plan.deadline_s:g} s, over all attempts"
            ) from self.last_error
        if not plan.is_stream:
            share = SHARE_OF_ONE_TARGET if self.has_next() else 1.0
            return AttemptLimits(total_s=min(target.timeout_s, left_s * share), idle_s=streams.idle_s)
        total_s = left_s if plan.is_hard_deadline else max(left_s, OPEN_ENDED_STREAM_S)
        ttft_s = streams.ttft_s if target.ttft_s is None else target.ttft_s
        ttft_s += target.ttft_s_per_ktok * plan.input_tokens / 1000
        return AttemptLimits(total_s=total_s, ttft_s=min(ttft_s, left_s), idle_s=streams.idle_s)


def retry_patience_s(error: ProviderError, course: Course, retry: RetryConfig, now_s: float) -> float:
    """How long a retry at the same target may be waited for: beside others, a long pause is left to them."""
    left_s = course.ends_at_s - now_s - LEAST_LEFT_S
    return min(left_s, retry.cap_s) if error.retry_after_s is not None and course.has_next() else left_s
