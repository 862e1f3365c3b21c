"""Rate limits that processes share: one Lua call checks all limits and takes from all, or from none.

Redis's own clock counts, so that processes need not agree on theirs. When Redis does not answer, every process counts
for itself until it is back: limits then hold for each process alone. What was granted then is settled here, not there.
Keys carry their owner as a hash tag, so that a cluster keeps all limits of one owner in one slot.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

from bridge.rate_limits import Admission, Grant, Limit, MemoryRateLimiter, granted, room_of, settled, wait_of
from bridge.redis_link import ANSWER_LIMIT_S, RedisLink

ADMIT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local taken, is_admitted = {}, 1
for i, key in ipairs(KEYS) do
  local full = tonumber(redis.call('GET', key)) or now
  taken[i] = math.max(full - now, 0)
  if taken[i] + tonumber(ARGV[3 * i - 1]) - tonumber(ARGV[3 * i]) > 0.001 then is_admitted = 0 end
end
local answer = {tostring(is_admitted)}
for i, key in ipairs(KEYS) do
  if is_admitted == 1 then
    taken[i] = taken[i] + tonumber(ARGV[3 * i - 2])
    redis.call('SET', key, string.format('%.3f', now + taken[i]), 'PX', math.ceil(taken[i]) + 1000)
  end
  answer[i + 1] = string.format('%.3f', taken[i])
end
return answer
"""
SETTLE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
for i, key in ipairs(KEYS) do
  local full, change = tonumber(redis.call('GET', key)), tonumber(ARGV[i])
  if full or change > 0 then
    if change > 0 then full = math.max(full or now, now) end
    local left = full + change - now
    if left > 0 then
      redis.call('SET', key, string.format('%.3f', now + left), 'PX', math.ceil(left) + 1000)
    else
      redis.call('DEL', key)
    end
  end
end
return 1
"""


class RedisRateLimiter:
    """A RateLimiter over Redis. `prefix` keeps its keys apart from other users of the same Redis."""

    def __init__(self, url: str, *, prefix: str = "modelbridge:rate:", answer_limit_s: float = ANSWER_LIMIT_S) -> None:
        self._link = RedisLink(url, "rate limits", answer_limit_s=answer_limit_s)
        self._prefix = prefix
        self._own = MemoryRateLimiter()
        self._admit = self._link.redis.register_script(ADMIT)
        self._settle = self._link.redis.register_script(SETTLE)

    @property
    def link(self) -> RedisLink:
        """The way to Redis."""
        return self._link

    async def admit(self, limits: Sequence[Limit], tokens: float, now_s: float) -> Admission:
        if not limits:
            return Admission(0.0, ())
        if any(math.isinf(wait_of(limit, tokens, 0.0)) for limit in limits):
            return self._own.admit_now(limits, tokens, now_s)
        answer = await self._asked(self._admit, limits, [part for limit in limits for part in _costs(limit, tokens)])
        if answer is None:
            return self._own.admit_now(limits, tokens, now_s)
        is_admitted, taken_s = answer[0] == "1", [float(text) / 1000 for text in answer[1:]]
        for limit, seconds in zip(limits, taken_s, strict=True):
            self._own.learn(limit, now_s + seconds)
        rooms = tuple(room_of(limit, seconds) for limit, seconds in zip(limits, taken_s, strict=True))
        if is_admitted:
            return Admission(0.0, rooms, grant=granted(limits, tokens, is_shared=True))
        waits = [wait_of(limit, tokens, seconds) for limit, seconds in zip(limits, taken_s, strict=True)]
        longest = max(range(len(limits)), key=lambda position: waits[position])
        return Admission(waits[longest], rooms, limits[longest])

    async def settle(self, grant: Grant, used: float, now_s: float) -> None:
        change = settled(grant, used)
        if change == 0 or not grant.limits:
            return
        self._own.add(grant.limits, change, now_s)
        if grant.is_shared:
            await self._asked(self._settle, grant.limits, [f"{change * one.unit_s * 1000:.3f}" for one in grant.limits])

    def wait_s(self, limits: Sequence[Limit], tokens: float, now_s: float) -> float:
        return self._own.wait_s(limits, tokens, now_s)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._link.aclose()

    async def _asked(self, script: Any, limits: Sequence[Limit], arguments: list[str]) -> list[str] | None:
        """The script's answer; None when there is none in time. `script` is untyped in redis."""
        keys = [key_of(self._prefix, limit) for limit in limits]
        answer = await self._link.asked(lambda: script(keys=keys, args=arguments), None)
        if answer is None:
            return None
        return [str(part) for part in cast("list[object]", answer)] if isinstance(answer, list) else [str(answer)]


def key_of(prefix: str, limit: Limit) -> str:
    """The Redis key of a limit's state."""
    return f"{prefix}{{{limit.key}}}|{limit.unit}|{limit.window_s:g}"


def _costs(limit: Limit, tokens: float) -> tuple[str, str, str]:
    """What the request takes, what must be there for it, and the depth of the bucket, in milliseconds."""
    return tuple(f"{seconds * 1000:.3f}" for seconds in (limit.cost_s(tokens), limit.needed_s(tokens), limit.depth_s))  # pyright: ignore[reportReturnType]  # three of them
