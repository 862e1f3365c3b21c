"""When the database does not answer a question about money, in time or at all."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bridge.errors import BudgetUnavailableError

log = logging.getLogger(__name__)

ANSWER_LIMIT_S = 5.0


@asynccontextmanager
async def answering(limit_s: float = ANSWER_LIMIT_S) -> AsyncGenerator[None]:
    """A block that asks the database. Raises BudgetUnavailableError when that does not answer within `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
        log.warning("budget_database_silent", extra={"error": type(error).__name__})
        raise BudgetUnavailableError("a budget applies to this call and the database does not answer") from error
