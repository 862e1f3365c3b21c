"""What it costs to ask for room under limits, in this process and over Redis.

python -m benchmarks.rate_limits [--redis URL]

Three scopes (deployment, key, organisation) with requests and tokens a minute each are checked and taken in one step.
Without a URL a Redis of its own is started. Exits 1 when a bound is missed or when 32 callers at once get more than a
limit allows.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from bridge.identifiers import new_id
from bridge.rate_limits import Limit, MemoryRateLimiter, RateLimiter
from bridge.redis_rate_limiter import RedisRateLimiter
from tests.support.peers import running_redis

MOST_MEMORY_US = 60.0
MOST_REDIS_MS = 2.0
"""Median of one caller after another, on a busy machine."""
ALLOWED = 500


def scopes(amount: float = 1e9, burst: float | None = None) -> tuple[Limit, ...]:
    """Six limits nobody else uses."""
    return tuple(
        Limit(f"{scope}:{new_id()}", unit, amount, burst=burst)
        for scope in ("deployment", "key", "org")
        for unit in ("requests", "tokens")
    )


async def latencies_ms(limiter: RateLimiter, limits: Sequence[Limit], calls: int) -> list[float]:
    """Of calls one after another."""
    found: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        await limiter.admit(limits, 100, time.monotonic())
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


async def admitted(limiter: RateLimiter) -> int:
    """How many of twice as many callers as are allowed get through, 32 at once."""
    limits = (Limit(new_id(), "requests", 1, window_s=86_400, burst=ALLOWED),)

    async def ask(count: int) -> int:
        return sum([(await limiter.admit(limits, 0, time.monotonic())).is_admitted for _ in range(count)])

    return sum(await asyncio.gather(*(ask(2 * ALLOWED // 32 + 1) for _ in range(32))))


async def measure(name: str, limiter: RateLimiter, calls: int, bound_ms: float) -> list[str]:
    """Print the figures; what is wrong with them."""
    await latencies_ms(limiter, scopes(), 50)
    taken = await latencies_ms(limiter, scopes(), calls)
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
    through = await admitted(limiter)
    print(f"{name}: {median * 1000:.0f} us median, {p99 * 1000:.0f} us p99 of {calls}; {through} of {ALLOWED} through")
    problems = [f"{name}: {median:.3f} ms is over {bound_ms} ms"] if median > bound_ms else []
    return problems if through == ALLOWED else [*problems, f"{name}: {through} got through, {ALLOWED} were allowed"]


async def compared(redis_url: str) -> list[str]:
    """Both limiters."""
    problems = await measure("memory", MemoryRateLimiter(), 5_000, MOST_MEMORY_US / 1000)
    shared = RedisRateLimiter(redis_url, answer_limit_s=10)
    try:
        return problems + await measure("redis", shared, 3_000, MOST_REDIS_MS)
    finally:
        await shared.aclose()


def main() -> None:
    """Print what room costs; exit 1 when a bound is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", default=None, metavar="URL")
    url: str | None = parser.parse_args().redis
    with running_redis() if url is None else nullcontext(url) as address:
        problems = asyncio.run(compared(address))
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
