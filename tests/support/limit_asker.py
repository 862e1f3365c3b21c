"""A process that asks a shared limit many times at once: `limit_asker REDIS OWNER LIMIT COUNT`, at a line on stdin."""

import asyncio
import json
import sys

from platform_api.limits.redis_windows import RedisCounter
from platform_api.limits.windows import DAY_S, Window
from platform_api.rates import LimitsSection


async def ask(redis_url: str, owner: str, limit: int, count: int) -> None:
    """Print how many were admitted and refused by Redis."""
    counter = RedisCounter(redis_url, LimitsSection(when_redis_is_down="refuse"), answer_limit_s=30)
    own = Window("key-requests-day", owner, "requests", limit, DAY_S)
    verdicts = await asyncio.gather(*(counter.take([own], 0) for _ in range(count)))
    told = [one for one in verdicts if one is not None]
    admitted = sum(one.taken is not None for one in told)
    sys.stdout.write(json.dumps({"admitted": admitted, "refused": len(told) - admitted}))
    await counter.aclose()


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asyncio.run(ask(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
