"""Room at deployments: what a provider's limits allow, asked before a choice and taken before an attempt."""

from collections.abc import Mapping
from typing import Protocol

from bridge.config import ProviderConfig, RateConfig
from bridge.rate_limits import Grant, Limit, MemoryRateLimiter, RateLimiter


class Throttle(Protocol):
    """Keeps a deployment under the limits that its provider set. `now_s` is the monotonic clock."""

    def wait_s(self, deployment: str, tokens: int, now_s: float) -> float:
        """Seconds until a call of so many tokens has room there; 0: now. Takes nothing."""
        ...

    async def take(self, deployment: str, tokens: int, now_s: float) -> Grant | None:
        """Take one request and `tokens`, an upper bound. None: there is no room, and nothing was taken."""
        ...

    async def settle(self, grant: Grant, used: int, now_s: float) -> None:
        """`used` tokens count in place of those that were taken, be they fewer or more."""
        ...


class DeploymentThrottle:
    """The throttle over any rate limiter: in memory for one process, or one that processes share.

    A call whose upper bound is larger than what a limit ever holds goes when the limit is untouched: bounds are
    generous, and the provider has the last word.
    """

    def __init__(self, providers: Mapping[str, ProviderConfig], limiter: RateLimiter | None = None) -> None:
        self._limiter: RateLimiter = limiter or MemoryRateLimiter()
        self._rates = {name: provider.limits for name, provider in providers.items()}
        self._limits: dict[str, tuple[Limit, ...]] = {}

    def wait_s(self, deployment: str, tokens: int, now_s: float) -> float:
        limits = self._limits_of(deployment)
        return self._limiter.wait_s(limits, tokens, now_s) if limits else 0.0

    async def take(self, deployment: str, tokens: int, now_s: float) -> Grant | None:
        limits = self._limits_of(deployment)
        if not limits:
            return Grant()
        admission = await self._limiter.admit(limits, tokens, now_s)
        return admission.grant if admission.is_admitted else None

    async def settle(self, grant: Grant, used: int, now_s: float) -> None:
        if grant.limits:
            await self._limiter.settle(grant, used, now_s)

    def _limits_of(self, deployment: str) -> tuple[Limit, ...]:
        found = self._limits.get(deployment)
        if found is None:
            rate = self._rates.get(deployment.partition("/")[0])
            found = self._limits[deployment] = () if rate is None else limits_of(deployment, rate)
        return found


def throttle_of(
    providers: Mapping[str, ProviderConfig], limiter: RateLimiter | None = None
) -> DeploymentThrottle | None:
    """The throttle that the providers' `limits` ask for; None when they ask for none."""
    rates = (provider.limits for provider in providers.values())
    has_limits = any(rate.requests_per_minute or rate.tokens_per_minute for rate in rates)
    return DeploymentThrottle(providers, limiter) if has_limits else None


def limits_of(deployment: str, rate: RateConfig) -> tuple[Limit, ...]:
    """The limits of one deployment as its provider's configuration states them."""
    key, burst = f"deployment:{deployment}", rate.burst_s / 60.0
    found: list[Limit] = []
    if rate.requests_per_minute is not None:
        found.append(Limit(key, "requests", rate.requests_per_minute, burst=rate.requests_per_minute * burst))
    if rate.tokens_per_minute is not None:
        tokens = rate.tokens_per_minute
        found.append(Limit(key, "tokens", tokens, burst=tokens * burst, lends=True))
    return tuple(found)
