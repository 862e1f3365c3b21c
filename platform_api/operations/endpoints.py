"""/healthz, /readyz, /metrics: is the process alive, may it get traffic, what has it counted."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from platform_api.auth.caller import PUBLIC
from platform_api.database.session import Database
from platform_api.migrations import runner
from platform_api.operations.metrics import Metrics

DurableLane = Literal["starting", "ready", "off"]
CHECK_LIMIT_S = 3.0

router = APIRouter(tags=["operations"])


@dataclass(slots=True)
class Readiness:
    """What `/readyz` asks. Whoever starts the durable lane sets its state; it never makes the check fail."""

    database: Database
    redis_url: str | None = None
    needs_redis: bool = False
    """Otherwise the process serves without it, and taking it out of traffic would help nobody."""
    durable_lane: DurableLane = "off"
    is_draining: bool = False
    """Set at the start of a shutdown: no new traffic, please."""
    _is_migrated: bool = field(default=False, repr=False)

    async def checks(self) -> dict[str, str]:
        """`ok` or what is wrong, by part; nothing secret in it."""
        found = {"database": await _outcome(self.database.ping), "migrations": await _outcome(self._check_migrations)}
        if self.redis_url is not None:
            found["redis"] = await _outcome(self._ping_redis)
        if self.is_draining:
            found["process"] = "shutting down"
        return found

    def is_ready(self, checks: dict[str, str]) -> bool:
        """Do they allow traffic?"""
        return all(state == "ok" for part, state in checks.items() if part != "redis" or self.needs_redis)

    async def _check_migrations(self) -> None:
        """Asked until the answer is yes: a database never goes back under a running process."""
        if not self._is_migrated:
            self._is_migrated = await runner.is_at_head(self.database)
        if not self._is_migrated:
            raise NotReadyError("not at head: run `modelbridge db upgrade`")

    async def _ping_redis(self) -> None:
        import redis.asyncio as redis
        from redis.exceptions import RedisError

        client = redis.from_url(self.redis_url or "")
        try:
            await client.ping()
        except RedisError as error:
            raise ConnectionError from error
        finally:
            await client.aclose()


class NotReadyError(RuntimeError):
    """A part answers, but is not in the state we need."""


@router.get("/healthz", dependencies=[PUBLIC], operation_id="operations_healthz")
async def healthz() -> dict[str, str]:
    """The process runs. Nothing else is asked."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[PUBLIC], operation_id="operations_readyz")
async def readyz(request: Request) -> Response:
    """May this process get traffic? 503 names what is missing."""
    readiness = cast("Readiness", request.app.state.readiness)
    checks = await readiness.checks()
    is_ready = readiness.is_ready(checks)
    body = {"status": "ready" if is_ready else "not ready", **checks, "durable_lane": readiness.durable_lane}
    return JSONResponse(body, status_code=200 if is_ready else 503)


@router.get(
    "/metrics",
    dependencies=[PUBLIC],
    operation_id="operations_metrics",
    response_class=Response,
    responses={200: {"description": "What was counted", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Counters and histograms for Prometheus. No label names a tenant, a user or a key."""
    body, media_type = cast("Metrics", request.app.state.metrics).exposition()
    return Response(body, media_type=media_type)


async def _outcome(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await check()
    except NotReadyError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {CHECK_LIMIT_S:g} s"
    except (SQLAlchemyError, OSError, ValueError) as error:
        return f"does not answer ({type(error).__name__})"
    return "ok"
