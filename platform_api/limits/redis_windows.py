"""Windows that processes share: one Lua call checks all of them and takes from all, or from none.

Redis's own clock counts. What is admitted there is counted here as well, so that a process whose Redis goes away
does not begin at nothing: until Redis is back it admits its share of each limit, or refuses, as configured. What was
taken here alone is settled here alone. Redis 6.2 and later.

At each change-over between the two counts, one window may see up to one more limit's worth.
"""

from collections.abc import Sequence
from typing import Any, cast

from bridge.redis_link import ANSWER_LIMIT_S, RedisLink
from platform_api.limits.windows import SLICES, MemoryCounter, Room, Taken, Verdict, Window, room_of
from platform_api.rates import LimitsSection

TAKE = f"""
local N = {SLICES}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state, answer, is_admitted = {{}}, {{now}}, 1
for i, key in ipairs(KEYS) do
  local amount, cost, width = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local moment = math.floor(now / width)
  local head = redis.call('HMGET', key, 't', 'o', 'n')
  local total, newest = tonumber(head[1]) or 0, tonumber(head[3]) or moment
  local oldest = math.min(tonumber(head[2]) or moment, newest)
  if oldest < moment - N then
    local gone = {{}}
    for past = oldest, math.min(newest, moment - N - 1) do gone[#gone + 1] = past end
    for _, units in ipairs(redis.call('HMGET', key, unpack(gone))) do total = total - (tonumber(units) or 0) end
    redis.call('HDEL', key, unpack(gone))
    oldest = moment - N
    redis.call('HSET', key, 't', total, 'o', oldest)
  end
  while oldest < newest and redis.call('HEXISTS', key, oldest) == 0 do oldest = oldest + 1 end
  local wait, over = 0, total + cost - amount
  if over > 0 then is_admitted = 0 end
  if over > 0 and oldest <= newest then
    local names, freed = {{}}, 0
    for past = oldest, newest do names[#names + 1] = past end
    for j, units in ipairs(redis.call('HMGET', key, unpack(names))) do
      freed = freed + (tonumber(units) or 0)
      if freed >= over then wait = (names[j] + N + 1) * width - now; break end
    end
  end
  state[i] = {{total, oldest, newest, moment, wait, cost, width}}
end
for i, key in ipairs(KEYS) do
  local total, oldest, newest, moment, wait, cost, width = unpack(state[i])
  if is_admitted == 1 and cost > 0 then
    if total <= 0 then oldest = moment end
    total, newest = total + cost, math.max(newest, moment)
    redis.call('HINCRBY', key, newest, cost)
    redis.call('HSET', key, 't', total, 'o', oldest, 'n', newest)
    redis.call('PEXPIRE', key, (N + 2) * width)
  end
  for _, part in ipairs({{total, oldest, newest, moment, wait}}) do answer[#answer + 1] = part end
end
answer[#answer + 1] = is_admitted
return answer
"""
SETTLE = f"""
local N = {SLICES}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local change = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local past, width = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  if change < 0 then
    local back = math.min(tonumber(redis.call('HGET', key, past)) or 0, -change)
    if back > 0 then
      redis.call('HINCRBY', key, past, -back)
      redis.call('HINCRBY', key, 't', -back)
    end
  else
    local moment = math.floor(now / width)
    redis.call('HINCRBY', key, moment, change)
    redis.call('HINCRBY', key, 't', change)
    redis.call('HSETNX', key, 'o', moment)
    redis.call('HSET', key, 'n', moment)
    redis.call('PEXPIRE', key, (N + 2) * width)
  end
end
return 1
"""
PARTS = 5
"""Of the answer for each window: total, oldest and newest slice, this slice, milliseconds to wait."""


class RedisCounter:
    """A WindowCounter over Redis. `prefix` keeps its keys apart from other users of the same Redis."""

    def __init__(
        self,
        url: str,
        config: LimitsSection,
        *,
        prefix: str = "modelbridge:window:",
        answer_limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        self.link = RedisLink(url, "tenant limits", answer_limit_s=answer_limit_s)
        self._config = config
        self._prefix = prefix
        self._own = MemoryCounter()
        self._take = self.link.redis.register_script(TAKE)
        self._settle = self.link.redis.register_script(SETTLE)

    async def take(self, windows: Sequence[Window], tokens: int) -> Verdict | None:
        arguments = [part for one in windows for part in (one.amount, one.cost(tokens), one.slice_ms)]
        answer = await self._asked(self._take, windows, arguments)
        if answer is None:
            return self._without_redis(windows, tokens)
        now_ms, is_admitted = answer[0], answer[-1] == 1
        states = _batches(answer[1:-1])
        rooms = tuple([_room(one, state, now_ms) for one, state in zip(windows, states, strict=True)])
        if is_admitted:
            tokened = [(one, state[3]) for one, state in zip(windows, states, strict=True) if one.unit == "tokens"]
            here = self._own.count(windows, tokens)
            shared = tuple(moment for _, moment in tokened)
            return Verdict(rooms, Taken(tuple(one for one, _ in tokened), tokens, here, shared))
        refused = [one for one, state in zip(windows, states, strict=True) if state[0] + one.cost(tokens) > one.amount]
        return Verdict(rooms, None, tuple(refused), max(state[4] for state in states) / 1000)

    async def settle(self, taken: Taken, used: int) -> None:
        change, taken.tokens = used - taken.tokens, used
        if change == 0 or not taken.windows:
            return
        self._own.change(taken, change)
        if taken.shared is not None:
            pairs = [
                part for one, moment in zip(taken.windows, taken.shared, strict=True) for part in (moment, one.slice_ms)
            ]
            await self._asked(self._settle, taken.windows, [change, *pairs])

    async def aclose(self) -> None:
        """Close every connection."""
        await self.link.aclose()

    def _without_redis(self, windows: Sequence[Window], tokens: int) -> Verdict | None:
        if self._config.when_redis_is_down == "refuse":
            return None
        return self._own.take_now([window.share(self._config.replicas) for window in windows], tokens)

    async def _asked(self, script: Any, windows: Sequence[Window], arguments: list[int]) -> list[int] | None:
        """The script's answer; None when there is none in time. `script` is untyped in redis."""
        keys = [self._prefix + one.place for one in windows]
        answer = await self.link.asked(lambda: script(keys=keys, args=arguments), None)
        if answer is None:
            return None
        return cast("list[int]", answer) if isinstance(answer, list) else [cast("int", answer)]


def _batches(parts: list[int]) -> list[list[int]]:
    return [parts[start : start + PARTS] for start in range(0, len(parts), PARTS)]


def _room(window: Window, state: list[int], now_ms: int) -> Room:
    total, oldest, newest = state[:3]
    return Room(window, window.amount, 0.0, 0.0) if total <= 0 else room_of(window, total, oldest, newest, now_ms)
