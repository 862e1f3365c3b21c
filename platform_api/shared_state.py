"""What the processes of a platform share through Redis."""

from dataclasses import dataclass

from bridge.redis_link import RedisLink
from bridge.redis_rate_limiter import RedisRateLimiter
from bridge.redis_state_store import RedisStateStore
from platform_api.limits.redis_windows import RedisCounter
from platform_api.limits.service import TenantLimits
from platform_api.limits.windows import Window
from platform_api.operations.metrics import Metrics
from platform_api.rates import LimitsSection


@dataclass(frozen=True, slots=True)
class SharedState:
    """Cached answers, bindings, circuits, and rate limits. All None: each process has its own."""

    store: RedisStateStore | None = None
    limiter: RedisRateLimiter | None = None
    windows: RedisCounter | None = None

    @classmethod
    def of(cls, redis_url: str | None, limits: LimitsSection) -> "SharedState":
        """Over the Redis at `redis_url`, if there is one."""
        if redis_url is None:
            return cls()
        return cls(RedisStateStore(redis_url), RedisRateLimiter(redis_url), RedisCounter(redis_url, limits))

    @property
    def links(self) -> tuple[RedisLink, ...]:
        """The ways to Redis, by purpose."""
        return tuple(one.link for one in (self.store, self.limiter, self.windows) if one is not None)

    def show(self, metrics: Metrics, limits: TenantLimits) -> None:
        """Let the metrics tell whether Redis answers, and whom limits refuse."""

        def count_refusal(window: Window) -> None:
            metrics.limit_refusals.labels(window.name).inc()

        limits.on_refused = count_refusal
        for link in self.links:
            metrics.watch_redis(link)

    async def aclose(self) -> None:
        """Close every connection."""
        for one in (self.store, self.limiter, self.windows):
            if one is not None:
                await one.aclose()
