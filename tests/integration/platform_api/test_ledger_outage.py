"""A database that does not answer: known callers go on, and the ledger catches up once it does."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bridge.call_record import BudgetScope
from bridge.clock import FrozenClock
from platform_api.auth.authenticator import KNOWN_S, Authenticator
from platform_api.auth.identity import Identity
from platform_api.budgets.standing import REMEMBERED_S, StandingBudgets
from platform_api.database.session import Database
from platform_api.database.tables.usage import CallRow, LedgerRow
from tests.support.frozen import frozen
from tests.support.money import NOW, new_organization
from tests.support.peers import PostgresPeer
from tests.support.platform import Platform, running_platform
from tests.support.upstream import CALL_NANO_USD, Upstream, running_upstream

pytestmark = pytest.mark.peer

ASKED = {"model": "acme/paid", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def platform(postgres_url: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Platform]:
    async with running_platform(postgres_url, tmp_path / "home", upstream=upstream.url) as running:
        yield running


async def test_calls_go_on_while_the_database_is_frozen_and_are_in_the_ledger_once_afterwards(
    platform: Platform, postgres: PostgresPeer, upstream: Upstream
) -> None:
    await platform.client.post("/api/budgets", json={"scope": "organization", "limit_usd": 10, "period": "month"})
    drain = platform.app.state.drain

    async def call() -> int:
        return (await platform.client.post("/v1/chat/completions", json=ASKED)).status_code

    assert await call() == 200
    await drain.flush()
    with frozen(postgres.server):
        answered = [await call() for _ in range(30)]
        lag_s, n_bytes = drain.lag_s, drain.undrained_bytes
    usage = (await platform.client.get("/api/billing/usage")).json()
    async with platform.database.system().read() as db:
        rows = (await db.execute(select(func.count(), func.count(LedgerRow.call_id.distinct())))).one()
        known = await db.scalar(select(func.count()).select_from(CallRow))

    assert answered == [200] * 30
    assert lag_s > 0
    assert n_bytes > 30 * 500
    assert (usage["requests"], known, tuple(rows), len(upstream.bodies)) == (31, 31, (31, 31), 31)
    assert usage["cost_usd"] == pytest.approx(31 * CALL_NANO_USD / 1e9, abs=1e-12)
    assert (drain.lag_s, drain.undrained_bytes) == (0, 0)


async def test_known_budgets_are_waited_for_once_and_then_taken_as_they_were(
    postgres: PostgresPeer, postgres_url: str
) -> None:
    database, clock = Database(postgres_url), FrozenClock(NOW)
    org_id = await new_organization(database)
    standing = StandingBudgets(database, clock, answer_limit_s=0.2)
    scopes = (BudgetScope("org", org_id),)
    assert await standing.on(org_id, scopes) == ()
    with frozen(postgres.server):
        clock.advance(REMEMBERED_S + 1)
        began_s = time.monotonic()
        found = [await standing.on(org_id, scopes) for _ in range(100)]
        waited_s = time.monotonic() - began_s
    await database.aclose()

    assert found == [()] * 100
    assert waited_s < 100 * 0.2


async def test_a_known_caller_waits_once_for_a_silent_database_and_a_new_one_gets_in_when_it_is_back(
    postgres: PostgresPeer, platform: Platform
) -> None:
    identity: Identity = platform.app.state.identity
    clock = FrozenClock(NOW)
    callers = Authenticator(platform.database, identity.signing_keys, clock, answer_limit_s=0.2)
    known = await callers.authenticate(None, platform.key)
    with frozen(postgres.server):
        clock.advance(KNOWN_S + 1)
        began_s = time.monotonic()
        found = [await callers.authenticate(None, platform.key) for _ in range(100)]
        waited_s = time.monotonic() - began_s
    clock.advance(KNOWN_S)
    fresh = Authenticator(platform.database, identity.signing_keys, clock)

    assert {caller.org_id for caller in found} == {known.org_id} == {UUID(platform.org_id)}
    assert waited_s < 100 * 0.2
    assert (await fresh.authenticate(None, platform.key)).key_id == known.key_id
