"""What one process forgets of credentials, the others forget too: within a second, by a channel that they share.

Redis where there is one, else PostgreSQL's LISTEN and NOTIFY; on SQLite without Redis there is one process, and
nothing to announce. A process that could not listen for a while forgets everything when it can again, since it may have
missed something. Messages name hashes and ids, never a secret.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, cast

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from bridge.redis_link import RedisLink
from platform_api.auth.authenticator import EVERYTHING, KNOWN_S, Authenticator
from platform_api.database.session import Database

logger = logging.getLogger(__name__)

CHANNEL = "modelbridge_forget"
AGAIN_S = 0.5
"""Between two tries to listen or to announce."""
PULSE_S = 1.0
SILENCE_S = 3.0
"""Without a sign of life for so long, the connection counts as lost."""
BROKEN = (SQLAlchemyError, PostgresError, InterfaceError, OSError, TimeoutError)

Heard = Callable[[str], None]


class Channel(Protocol):
    """A way for processes to tell each other names."""

    async def announce(self, name: str) -> bool:
        """Tell everybody. False: it could not be told."""
        ...

    async def listen(self, is_on: Callable[[], None], heard: Heard) -> None:
        """Hear every name from `is_on` being called until the connection breaks, which raises one of BROKEN."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class RedisChannel:
    """Publish and subscribe. Its link's pulse also shows a Redis that is away to a process without traffic."""

    def __init__(self, url: str) -> None:
        self.link = RedisLink(url, "announcements")
        self._url = url

    async def announce(self, name: str) -> bool:
        return bool(await self.link.asked(lambda: self._publish(name), False))

    async def listen(self, is_on: Callable[[], None], heard: Heard) -> None:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        client = cast("Any", Redis).from_url(
            self._url, decode_responses=True, protocol=3, socket_connect_timeout=PULSE_S
        )
        try:
            async with client.pubsub() as pubsub:
                async with asyncio.timeout(SILENCE_S):
                    await pubsub.subscribe(CHANNEL)
                is_on()
                await self._hear(pubsub, heard)
        except RedisError as error:
            raise ConnectionError("Redis does not answer") from error
        finally:
            await client.aclose()

    async def aclose(self) -> None:
        await self.link.aclose()

    async def _publish(self, name: str) -> bool:
        await self.link.redis.publish(CHANNEL, name)
        return True

    async def _hear(self, pubsub: Any, heard: Heard) -> None:  # untyped in redis
        loop = asyncio.get_running_loop()
        heard_at_s = asked_at_s = loop.time()
        while True:
            message = await pubsub.get_message(timeout=PULSE_S)
            now_s = loop.time()
            if message is not None:
                heard_at_s = now_s
                if message["type"] == "message":
                    heard(str(message["data"]))
            if now_s - heard_at_s > SILENCE_S:
                raise TimeoutError("Redis is silent")
            if now_s - asked_at_s >= PULSE_S:
                asked_at_s = now_s
                await pubsub.ping()
                await self.link.asked(self._pulse, None)

    async def _pulse(self) -> None:
        await self.link.redis.ping()


class PostgresChannel:
    """LISTEN and NOTIFY on a connection of its own. A pooler between must be in session mode."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = create_async_engine(database.url, poolclass=NullPool)

    async def announce(self, name: str) -> bool:
        async with self._database.system()() as db:
            await db.execute(text("select pg_notify(:channel, :name)"), {"channel": CHANNEL, "name": name})
        return True

    async def listen(self, is_on: Callable[[], None], heard: Heard) -> None:
        ended = asyncio.Event()

        def told(_connection: object, _pid: int, _channel: str, payload: str) -> None:
            heard(payload)

        def closed(_connection: object) -> None:
            ended.set()

        async with asyncio.timeout(SILENCE_S) as limit, self._engine.connect() as connection:
            raw = cast("Any", (await connection.get_raw_connection()).driver_connection)
            raw.add_termination_listener(closed)
            await raw.add_listener(CHANNEL, told)
            is_on()
            while not ended.is_set():
                limit.reschedule(asyncio.get_running_loop().time() + PULSE_S + SILENCE_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), PULSE_S)
                await raw.execute("select 1")
        raise ConnectionError("PostgreSQL has closed the connection")

    async def aclose(self) -> None:
        await self._engine.dispose()


def channel_of(database: Database, redis_url: str | None) -> RedisChannel | PostgresChannel | None:
    """The channel of a platform; None where there is one process only."""
    if redis_url is not None:
        return RedisChannel(redis_url)
    return None if database.is_sqlite else PostgresChannel(database)


@asynccontextmanager
async def shared_forgetting(authenticator: Authenticator, channel: Channel | None) -> AsyncGenerator[None]:
    """What is forgotten here is announced, what is announced is forgotten here."""
    if channel is None:
        yield
        return
    names: asyncio.Queue[str] = asyncio.Queue()
    authenticator.on_forget = names.put_nowait
    tasks = (
        asyncio.create_task(_announce(channel, names), name="announce what is forgotten"),
        asyncio.create_task(_listen(channel, authenticator.drop), name="listen to what is forgotten"),
    )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await channel.aclose()


async def _announce(channel: Channel, names: asyncio.Queue[str]) -> None:
    """Every name until it is told; after the time that entries live, nobody needs to hear it any more."""
    while True:
        name = await names.get()
        for _ in range(int(KNOWN_S / AGAIN_S)):
            if await _is_told(channel, name):
                break
            await asyncio.sleep(AGAIN_S)
        else:
            logger.warning("forgetting_not_announced")


async def _is_told(channel: Channel, name: str) -> bool:
    try:
        return await channel.announce(name)
    except BROKEN as error:
        logger.warning("forgetting_not_announced_yet", extra={"error": type(error).__name__})
        return False


async def _listen(channel: Channel, drop: Heard) -> None:
    """For ever. What was said before the connection stood is unknown, so everything goes."""
    while True:
        try:
            await channel.listen(lambda: drop(EVERYTHING), drop)
        except BROKEN as error:
            logger.warning("not_listening_to_what_is_forgotten", extra={"error": type(error).__name__})
        await asyncio.sleep(AGAIN_S)
