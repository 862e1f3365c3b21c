"""What it costs to ask for room under limits, in this process and over Redis.

python -m benchmarks.rate_limits [--redis URL]

Deployments: three scopes with requests and tokens a minute each are checked and taken in one step. Tenants: a key and
its organisation, with requests and tokens a minute each, admitted, settled and told in OpenAI's headers. The parts
run in turns; the ratio is of their CPU. Without a URL a Redis of its own is started. Exits 1 when a bound is missed
or when 32 callers at once get more than a limit allows.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from uuid import uuid4

from bridge.identifiers import new_id
from bridge.rate_limits import Limit, MemoryRateLimiter, RateLimiter
from bridge.redis_rate_limiter import RedisRateLimiter
from platform_api.limits.headers import openai_headers
from platform_api.limits.redis_windows import RedisCounter
from platform_api.limits.service import made_windows
from platform_api.limits.windows import DAY_S, MemoryCounter, Window, WindowCounter
from platform_api.rates import LimitsSection, OwnRates, Rates
from tests.support.peers import running_redis

MOST_MEMORY_US = 60.0
MOST_TENANT_US = 30.0
MOST_REDIS_US, MOST_TENANT_REDIS_US = 250.0, 500.0
"""CPU of this process for one, median of the rounds. A tenant's request asks Redis twice."""
ALLOWED = 500
WIDE = Rates(requests_per_minute=10**9, tokens_per_minute=10**11)
Ask = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Part:
    """One way to ask for room, and the CPU it may cost."""

    name: str
    ask: Ask
    may: Callable[[], Awaitable[bool]]
    bound_us: float


def scopes(amount: float = 1e9, burst: float | None = None) -> tuple[Limit, ...]:
    """Six limits nobody else uses."""
    return tuple(
        Limit(f"{scope}:{new_id()}", unit, amount, burst=burst)
        for scope in ("deployment", "key", "org")
        for unit in ("requests", "tokens")
    )


def windows() -> tuple[Window, ...]:
    """A key and its organisation that nobody else uses."""
    config = LimitsSection(key=WIDE, organization=WIDE)
    return made_windows(config, uuid4(), uuid4(), OwnRates())


async def spent(ask: Ask, calls: int) -> tuple[float, list[float]]:
    """Of calls one after another: this process's CPU time of one, and how long each took, in microseconds."""
    took: list[float] = []
    used = time.process_time()
    for _ in range(calls):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1e6)
    return (time.process_time() - used) * 1e6 / calls, took


async def admitted(may: Callable[[], Awaitable[bool]]) -> int:
    """How many of twice as many callers as are allowed get through, 32 at once."""

    async def ask(count: int) -> int:
        return sum([await may() for _ in range(count)])

    return sum(await asyncio.gather(*(ask(2 * ALLOWED // 32 + 1) for _ in range(32))))


def of_deployments(name: str, limiter: RateLimiter, bound_us: float) -> Part:
    """Room at a deployment, taken."""
    wide = scopes()
    narrow = (Limit(new_id(), "requests", 1, window_s=86_400, burst=ALLOWED),)

    async def ask() -> None:
        await limiter.admit(wide, 100, time.monotonic())

    async def may() -> bool:
        return (await limiter.admit(narrow, 0, time.monotonic())).is_admitted

    return Part(f"deployments, {name}", ask, may, bound_us)


def of_tenants(name: str, counter: WindowCounter, bound_us: float) -> Part:
    """Room of a tenant: admitted, settled and told."""
    wide = windows()
    narrow = (Window("key-requests-day", f"{{org:{new_id()}}}", "requests", ALLOWED, DAY_S),)

    async def ask() -> None:
        verdict = await counter.take(wide, 100)
        if verdict is not None and verdict.taken is not None:
            openai_headers(verdict.rooms)
            await counter.settle(verdict.taken, 60)

    async def may() -> bool:
        verdict = await counter.take(narrow, 0)
        return verdict is not None and verdict.taken is not None

    return Part(f"tenants, {name}", ask, may, bound_us)


async def measured(parts: Sequence[Part], rounds: int, calls: int) -> list[str]:
    """Print the figures; what is wrong with them."""
    cpu: dict[str, list[float]] = {part.name: [] for part in parts}
    took: dict[str, list[float]] = {part.name: [] for part in parts}
    for part in parts:
        await spent(part.ask, 50)
    for _ in range(rounds):
        for part in parts:
            one_us, each_us = await spent(part.ask, calls)
            cpu[part.name].append(one_us)
            took[part.name] += each_us
    problems: list[str] = []
    first_us = statistics.median(cpu[parts[0].name])
    for part in parts:
        cpu_us, sorted_us = statistics.median(cpu[part.name]), sorted(took[part.name])
        median_us, p99_us = statistics.median(sorted_us), sorted_us[int(len(sorted_us) * 0.99)]
        through = await admitted(part.may)
        print(
            f"{part.name}: {cpu_us:.1f} us CPU ({cpu_us / first_us:.2f} x), bound {part.bound_us:.0f}; "
            f"took {median_us:.1f} us median, {p99_us:.0f} p99 of {len(sorted_us)}; {through} of {ALLOWED} through"
        )
        if cpu_us > part.bound_us:
            problems.append(f"{part.name}: {cpu_us:.1f} us of CPU are over {part.bound_us:.0f}")
        if through != ALLOWED:
            problems.append(f"{part.name}: {through} got through, {ALLOWED} were allowed")
    return problems


async def compared(redis_url: str) -> list[str]:
    """All parts: in memory, then over Redis."""
    memory = of_deployments("memory", MemoryRateLimiter(), MOST_MEMORY_US)
    problems = await measured((memory, of_tenants("memory", MemoryCounter(), MOST_TENANT_US)), 10, 1_000)
    limiter = RedisRateLimiter(redis_url, answer_limit_s=10)
    counter = RedisCounter(redis_url, LimitsSection(), answer_limit_s=10)
    try:
        parts = of_deployments("redis", limiter, MOST_REDIS_US), of_tenants("redis", counter, MOST_TENANT_REDIS_US)
        return problems + await measured(parts, 10, 200)
    finally:
        await limiter.aclose()
        await counter.aclose()


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
