import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.attempt import AttemptLimits
from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.clock import FrozenClock
from bridge.config import BreakerConfig, RetryConfig, StreamConfig
from bridge.errors import (
    AttemptTimeoutError,
    BridgeError,
    BudgetExceededError,
    ConfigurationError,
    ContentFilterError,
    ContextLengthError,
    CredentialError,
    DeadlineExceededError,
    MalformedReplyError,
    NoRouteError,
    NotServedError,
    ProviderError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
)
from bridge.reliability.failover import Failover, FailoverPlan, Trial
from bridge.reliability.health_book import HealthBook


def target(name: str, window: int | None = None, timeout_s: float = 60) -> Deployment:
    entry = ModelEntry(name, "p", name, context_window=window)
    return Deployment(name, "p", name, "openai", "http://x", entry, timeout_s=timeout_s)


A, B, C = target("a"), target("b"), target("c")


def failure_of(name: str) -> AttemptRecord:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return AttemptRecord(
        "x", name, "p", name, at, 1.0, None, "failed", "unavailable", "no", 503, None, 0, None, None, False
    )


class Rig:
    """A failover on a frozen clock, and providers that do what a script says."""

    def __init__(self, **retry: object) -> None:
        self.clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
        self.health = HealthBook(BreakerConfig(), random.Random(1))
        config = RetryConfig.model_validate(retry)
        self.failover = Failover(
            retry=config, streams=StreamConfig(), health=self.health, clock=self.clock, rng=random.Random(1)
        )
        self.script: dict[str, list[BridgeError | float | None]] = {}
        self.asked: list[tuple[str, float]] = []
        self.limits: list[AttemptLimits] = []
        self.keys: list[str | None] = []

    async def attempt(self, trial: Trial) -> str:
        """The next step of the script: an error to raise, seconds to hang, or None (and the end): an answer."""
        to, limits = trial.target, trial.limits
        self.asked.append((to.name, self.clock.monotonic()))
        self.limits.append(limits)
        self.keys.append(to.api_key)
        steps = self.script.get(to.name, [])
        step = steps.pop(0) if steps else None
        if isinstance(step, float):
            self.clock.advance(min(step, limits.total_s))
            if step >= limits.total_s:
                raise AttemptTimeoutError("silent", deployment=to.name)
        if isinstance(step, BridgeError):
            raise step
        return f"from {to.name}"

    async def run(self, *targets: Deployment, deadline_s: float = 60, **plan: object) -> str:
        made = FailoverPlan(targets, deadline_s, **plan)  # pyright: ignore[reportArgumentType]  # options by name
        return await self.failover.run(made, self.attempt)

    def failover_without_breakers(self) -> HealthBook:
        """Health whose circuits never open, so that the retry budget alone counts."""
        health = HealthBook(BreakerConfig(consecutive=10_000, min_requests=10_000), random.Random(1))
        self.failover = Failover(
            retry=RetryConfig(), streams=StreamConfig(), health=health, clock=self.clock, rng=random.Random(1)
        )
        return health

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


def fails(kind: type[ProviderError], times: int = 99, **facts: object) -> list[BridgeError | float | None]:
    made: list[BridgeError | float | None] = []
    for _ in range(times):
        made.append(kind("no", deployment="x", **facts))  # pyright: ignore[reportArgumentType]  # facts by name
    return made


async def test_the_first_target_that_answers_is_enough() -> None:
    rig = Rig()

    assert await rig.run(A, B) == "from a"
    assert rig.names() == ["a"]


@pytest.mark.parametrize("kind", [UnavailableError, MalformedReplyError])
async def test_what_may_pass_is_tried_twice_with_a_pause_and_then_left(kind: type[ProviderError]) -> None:
    rig = Rig()
    rig.script["a"] = fails(kind)

    assert await rig.run(A, B) == "from b"
    assert rig.names() == ["a", "a", "b"]
    assert 0 < rig.asked[1][1] - rig.asked[0][1] <= 0.5


@pytest.mark.parametrize("kind", [AttemptTimeoutError, CredentialError, NotServedError])
async def test_what_will_not_pass_is_left_at_once(kind: type[ProviderError]) -> None:
    rig = Rig()
    rig.script["a"] = fails(kind)

    assert await rig.run(A, B) == "from b"
    assert rig.names() == ["a", "b"]


@pytest.mark.parametrize("kind", [RejectedError, ContentFilterError])
async def test_what_the_request_is_to_blame_for_goes_nowhere_else(kind: type[ProviderError]) -> None:
    rig = Rig()
    rig.script["a"] = fails(kind)

    with pytest.raises(kind):
        await rig.run(A, B)
    assert rig.names() == ["a"]


async def test_the_last_error_is_raised_when_nobody_answers() -> None:
    rig = Rig()
    rig.script = {"a": fails(UnavailableError), "b": fails(CredentialError)}

    with pytest.raises(CredentialError):
        await rig.run(A, B)


async def test_a_retry_after_on_an_unavailable_provider_is_honoured_too() -> None:
    rig = Rig()
    rig.script["a"] = fails(UnavailableError, 1, retry_after_s=1.0, status=503)

    assert await rig.run(A, B) == "from a"
    assert 1.0 <= rig.asked[1][1] <= 1.1


async def test_a_long_retry_after_is_waited_for_only_by_who_has_no_other_choice() -> None:
    alone, beside = Rig(), Rig()
    for rig in (alone, beside):
        rig.script["a"] = fails(RateLimitedError, 1, retry_after_s=20.0)

    assert await alone.run(A) == "from a"
    assert alone.asked[1][1] >= 20
    assert await beside.run(A, B) == "from b"
    assert beside.asked[1][1] == 0


async def test_a_target_that_asked_for_a_pause_is_not_asked_again_before_it_is_over() -> None:
    rig = Rig()
    rig.health.pause("a", 5, 0)

    assert await rig.run(A) == "from a"
    assert rig.asked == [("a", 5)]


async def test_a_pause_longer_than_the_deadline_is_a_rate_limit_and_nothing_is_sent() -> None:
    rig = Rig()
    rig.health.pause("a", 100, 0)

    with pytest.raises(RateLimitedError) as caught:
        await rig.run(A)
    assert caught.value.retry_after_s == 100
    assert rig.asked == []


async def test_only_bigger_windows_are_asked_after_a_prompt_was_too_long() -> None:
    rig = Rig()
    rig.script = {"m": fails(ContextLengthError), "l": fails(ContextLengthError)}
    targets = [target("m", 8000), target("s", 4000), target("l", 16_000), target("same", 16_000), target("xl", 32_000)]

    assert await rig.run(*targets) == "from xl"
    assert rig.names() == ["m", "l", "xl"]


async def test_refused_content_may_go_to_fallbacks_only() -> None:
    rig = Rig()
    rig.script["a"] = fails(ContentFilterError)

    assert await rig.run(A, B, C, fallback=frozenset({"c"}), on_content_filter="fallback") == "from c"
    assert rig.names() == ["a", "c"]


async def test_refused_content_without_a_fallback_stops() -> None:
    rig = Rig()
    rig.script["a"] = fails(ContentFilterError)

    with pytest.raises(ContentFilterError):
        await rig.run(A, B, on_content_filter="fallback")


async def test_a_hanging_target_leaves_time_for_the_others() -> None:
    rig = Rig()
    rig.script = {"a": [1000.0], "b": [1000.0]}

    assert await rig.run(A, B, C, deadline_s=20) == "from c"
    assert rig.clock.monotonic() == pytest.approx(15)


async def test_no_attempt_begins_after_the_deadline() -> None:
    rig = Rig()
    rig.script = {"a": [1000.0]}

    with pytest.raises(DeadlineExceededError):
        await rig.run(target("a", timeout_s=1000), deadline_s=0.0)
    assert rig.asked == []


async def test_a_stream_without_a_deadline_of_its_own_may_go_on_after_its_first_content() -> None:
    rig = Rig()
    await rig.run(A, is_stream=True, is_hard_deadline=False, deadline_s=5)
    await rig.run(A, is_stream=True, is_hard_deadline=True, deadline_s=5)

    assert (rig.limits[0].total_s, rig.limits[0].ttft_s) == (600.0, 5)
    assert rig.limits[1].total_s == 5


async def test_what_is_checked_before_an_attempt_ends_the_call() -> None:
    rig = Rig()

    async def refuse(to: Deployment, beside: Deployment | None) -> None:
        assert beside is None
        raise BudgetExceededError(f"no money for {to.name}", scope="org:a", limit_nano_usd=0, left_nano_usd=0)

    with pytest.raises(BudgetExceededError):
        await rig.run(A, B, before_attempt=refuse)
    assert rig.asked == []


async def test_an_error_that_is_no_providers_ends_the_call_and_leaves_nothing_in_flight() -> None:
    rig = Rig()
    rig.script["a"] = [ConfigurationError("no such dialect")]

    with pytest.raises(ConfigurationError):
        await rig.run(A, B)
    assert rig.health.all_states(0)["a"].in_flight == 0


async def test_a_target_whose_circuit_opened_meanwhile_is_passed_over_and_the_last_one_is_not() -> None:
    rig = Rig()
    for name in ("a", "b") * 5:
        rig.health.observe(failure_of(name), 0)

    assert await rig.run(A, B) == "from b"


KEYED = replace(A, api_key="k1", spare_keys=("k2", "k3"))


@pytest.mark.parametrize("kind", [CredentialError, RateLimitedError])
async def test_a_refused_or_spent_key_gives_way_to_the_next_at_once(kind: type[ProviderError]) -> None:
    rig = Rig()
    rig.script["a"] = fails(kind, 2)

    assert await rig.run(KEYED, B) == "from a"
    assert rig.keys == ["k1", "k2", "k3"]
    assert rig.clock.monotonic() == 0
    assert await rig.run(KEYED, B) == "from a"
    assert rig.keys[3:] == ["k3"]


async def test_when_all_keys_are_refused_the_target_is_left_and_not_asked_again_for_a_while() -> None:
    rig = Rig()
    rig.script["a"] = fails(CredentialError, 3)
    for _ in range(2):
        assert await rig.run(KEYED, B) == "from b"

    assert rig.names() == ["a", "a", "a", "b", "b"]
    assert await rig.run(KEYED) == "from a"


async def test_a_spent_key_pauses_the_deployment_only_when_it_is_the_last_one() -> None:
    rig = Rig()
    rig.script["a"] = fails(RateLimitedError, 1, retry_after_s=30.0)
    await rig.run(KEYED, B)
    assert rig.health.pause_left_s("a", 0) == 0

    rig.script["a"] = fails(RateLimitedError, 2, retry_after_s=30.0)
    assert await rig.run(KEYED, B) == "from b"
    assert rig.health.pause_left_s("a", 0) == 30


async def test_a_long_prompt_may_take_its_time_where_the_model_runs_here() -> None:
    rig = Rig()
    await rig.run(replace(A, ttft_s_per_ktok=30.0), is_stream=True, input_tokens=1000)
    await rig.run(replace(A, ttft_s=3.0), is_stream=True, input_tokens=1000)
    await rig.run(A, is_stream=True, input_tokens=1000)

    assert [limits.ttft_s for limits in rig.limits] == [40.0, 3.0, 10.0]


async def test_three_dead_providers_and_twenty_calls_are_not_180_attempts() -> None:
    rig = Rig()
    rig.health = rig.failover_without_breakers()
    rig.script = {name: fails(UnavailableError, 99) for name in "abc"}
    for _ in range(20):
        with pytest.raises(UnavailableError):
            await rig.run(A, B, C)

    retries = len(rig.asked) - 20 * 3
    assert 10 <= retries <= 10 + 0.2 * 20


async def test_nothing_to_try_is_no_route() -> None:
    with pytest.raises(NoRouteError):
        await Rig().run()


kinds = st.sampled_from(
    [UnavailableError, RateLimitedError, AttemptTimeoutError, CredentialError, MalformedReplyError, NotServedError]
)


@given(st.lists(st.lists(kinds, max_size=3), min_size=1, max_size=4), st.floats(1, 60))
async def test_whatever_fails_attempts_and_time_are_bounded(
    failures: list[list[type[ProviderError]]], deadline_s: float
) -> None:
    rig = Rig()
    targets = [target(str(n)) for n in range(len(failures))]
    rig.script = {str(n): [one for kind in kinds_of for one in fails(kind, 1)] for n, kinds_of in enumerate(failures)}
    try:
        answer = await rig.run(*targets, deadline_s=deadline_s)
    except ProviderError:
        answer = None

    assert rig.clock.monotonic() <= deadline_s
    assert all(rig.names().count(one.name) <= 2 for one in targets)
    if not failures[0]:
        assert answer == "from 0"
    if answer is not None:
        assert answer == f"from {rig.names()[-1]}"
