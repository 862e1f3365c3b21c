"""The way to a Redis that may be away: short waits, one line in the log an outage, no waiting while it lasts.

After a failure nothing is asked for `pause_s`; then one call tries, and the others go on without. So an outage costs
one call a second a short wait, and its end is noticed within a second. Commands of Redis 6.2 and later. A connection
that is waited for is waited for within the same limit as the answer.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

logger = logging.getLogger(__name__)
AnyT = TypeVar("AnyT")

ANSWER_LIMIT_S = 0.25
"""A cache that takes longer than this is no help."""
PAUSE_S = 1.0
MAX_CONNECTIONS = 64


class RedisLink:
    """Connections to one Redis, for one purpose. `redis` is the client, untyped.

    The client's package, 20 MB, is loaded with the first link: a process without Redis does without it.
    """

    def __init__(
        self,
        url: str,
        purpose: str,
        *,
        answer_limit_s: float = ANSWER_LIMIT_S,
        pause_s: float = PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
        from redis.maint_notifications import MaintNotificationsConfig

        pool = cast("Any", BlockingConnectionPool).from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=None,  # who waits for a connection is under the limit below
            decode_responses=True,
            protocol=3,
            socket_connect_timeout=answer_limit_s,
            socket_timeout=answer_limit_s,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self.redis = cast("Any", Redis).from_pool(pool)
        self._away: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        self.purpose = purpose
        self._limit_s = answer_limit_s
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._is_away = False
        self._ask_again_at_s = 0.0
        self.on_fallback: Callable[[], None] = _ignore
        """Told of every call that went on without an answer."""

    @property
    def is_up(self) -> bool:
        """Did Redis answer the last call? True before the first."""
        return not self._is_away

    def ask_again(self) -> None:
        """End the pause: the next call tries."""
        self._ask_again_at_s = 0.0

    async def asked(self, ask: Callable[[], Awaitable[AnyT]], otherwise: AnyT) -> AnyT:
        """Redis's answer, or `otherwise` when there is none in time."""
        if self._is_away:
            now_s = self._monotonic()
            if now_s < self._ask_again_at_s:
                self.on_fallback()
                return otherwise
            self._ask_again_at_s = now_s + self._pause_s  # this call tries; the others go on without
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await ask()
        except self._away as error:
            if not self._is_away:
                logger.warning("redis.away", extra={"purpose": self.purpose, "error": type(error).__name__})
            self._is_away = True
            self._ask_again_at_s = self._monotonic() + self._pause_s
            self.on_fallback()
            return otherwise
        if self._is_away:
            logger.warning("redis.back", extra={"purpose": self.purpose})
            self._is_away = False
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        await self.redis.aclose(close_connection_pool=True)


def _ignore() -> None:
    pass
