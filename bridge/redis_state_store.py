"""The StateStore over Redis, shared by processes.

When Redis does not answer, the bridge goes on without it: nothing is found, nothing is stored.
"""

from bridge.redis_link import ANSWER_LIMIT_S, RedisLink

INCR = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if ARGV[2] ~= '' and redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total
"""
COMPARE_AND_SET = """
local now = redis.call('GET', KEYS[1])
if (ARGV[1] == '1' and now ~= ARGV[2]) or (ARGV[1] == '0' and now) then return 0 end
if ARGV[4] ~= '' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) else redis.call('SET', KEYS[1], ARGV[3]) end
return 1
"""
APPEND = """
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], '*', 'v', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""


class RedisStateStore:
    """State that processes share. `prefix` keeps it apart from other users of the same Redis."""

    def __init__(self, url: str, *, prefix: str = "modelbridge:", answer_limit_s: float = ANSWER_LIMIT_S) -> None:
        self.link = RedisLink(url, "state", answer_limit_s=answer_limit_s)
        self._redis, self._asked = self.link.redis, self.link.asked
        self._prefix = prefix
        self._incr = self._redis.register_script(INCR)
        self._compare_and_set = self._redis.register_script(COMPARE_AND_SET)
        self._append = self._redis.register_script(APPEND)

    async def get(self, key: str) -> str | None:
        nothing: str | None = None
        return await self._asked(lambda: self._redis.get(self._prefix + key), nothing)

    async def set(self, key: str, value: str, *, ttl_s: float | None = None) -> None:
        await self._asked(lambda: self._redis.set(self._prefix + key, value, px=_ms(ttl_s)), None)

    async def incr(self, key: str, amount: int = 1, *, ttl_s: float | None = None) -> int:
        """While Redis is away, the counter stands at `amount`: as if nobody had counted before."""
        arguments = [amount, _ms(ttl_s) or ""]
        return int(await self._asked(lambda: self._incr(keys=[self._prefix + key], args=arguments), amount))

    async def compare_and_set(self, key: str, expected: str | None, value: str, *, ttl_s: float | None = None) -> bool:
        arguments = ["0" if expected is None else "1", expected or "", value, _ms(ttl_s) or ""]
        return bool(await self._asked(lambda: self._compare_and_set(keys=[self._prefix + key], args=arguments), 0))

    async def delete(self, key: str) -> None:
        await self._asked(lambda: self._redis.delete(self._prefix + key), 0)

    async def append(self, key: str, value: str, *, keep: int, ttl_s: float) -> None:
        arguments = [value, keep, _ms(ttl_s)]
        await self._asked(lambda: self._append(keys=[self._prefix + key], args=arguments), 0)

    async def tail(self, key: str, after: str) -> tuple[list[str], str]:
        nothing: list[tuple[str, dict[str, str]]] = []
        start = f"({after}" if after else "-"
        found = await self._asked(lambda: self._redis.xrange(self._prefix + key, start, "+"), nothing)
        return [fields["v"] for _, fields in found], found[-1][0] if found else after

    async def aclose(self) -> None:
        """Close every connection."""
        await self.link.aclose()


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))
