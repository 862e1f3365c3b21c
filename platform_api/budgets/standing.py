"""Which budgets there are, as far as a process may remember it.

An organisation's budgets are looked up again every two seconds while it calls, beside the calls: a call waits only for
scopes that were not met before, and after a pause. Their limits and what is spent are always read where they are
decided. While the database does not answer, what was known goes on to count.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from bridge.budgets import Budget
from bridge.call_record import BudgetScope
from bridge.clock import Clock
from bridge.errors import BudgetUnavailableError
from platform_api.budgets.answering import ANSWER_LIMIT_S, answering
from platform_api.budgets.repository import BudgetRepository, period_of, scope_of
from platform_api.database.session import Database
from platform_api.database.tables.usage import BudgetRow

log = logging.getLogger(__name__)

REFRESH_S = 2.0
REMEMBERED_S = 5.0
"""Older than this, it is looked up before the call goes on."""
TRUSTED_S = 900.0
"""...unless the database does not answer."""
SILENT_S = 30.0
"""How long no call waits for a database that did not answer; it is asked beside the calls all the same."""
MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    budgets: tuple[Budget, ...]
    looked_up_at_s: float
    asked: frozenset[BudgetScope]
    """Scopes that were looked at."""
    answers: dict[tuple[BudgetScope, ...], tuple[Budget, ...]] = field(
        default_factory=dict[tuple[BudgetScope, ...], tuple[Budget, ...]]
    )
    """To calls since then, without those of runs."""


class StandingBudgets:
    """Budgets by organisation, and those of runs."""

    def __init__(self, database: Database, clock: Clock, *, answer_limit_s: float = ANSWER_LIMIT_S) -> None:
        self._database = database
        self._clock = clock
        self._answer_limit_s = answer_limit_s
        self._silent_until_s = float("-inf")
        self._known: dict[str, _Known] = {}
        self._runs: OrderedDict[str, Budget | None] = OrderedDict()
        self._looking_up = asyncio.Lock()
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def on(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> tuple[Budget, ...]:
        """The budgets on one of the scopes, by id. Raises BudgetUnavailableError."""
        lasting = scopes
        if any(scope.kind == "run" for scope in scopes):
            lasting = tuple(scope for scope in scopes if scope.kind != "run")
        found = await self._lasting(org_id, lasting)
        if lasting is scopes:
            return found
        runs = [await self._of_run(org_id, scope) for scope in scopes if scope.kind == "run"]
        known = (*found, *(budget for budget in runs if budget is not None))
        return tuple(sorted(known, key=lambda budget: budget.id))

    def forget(self, org_id: str) -> None:
        """Look the organisation's budgets up again: one was made or removed."""
        self._known.pop(org_id, None)

    async def _lasting(self, org_id: str, wanted: tuple[BudgetScope, ...]) -> tuple[Budget, ...]:
        known = self._known.get(org_id)
        now_s = self._clock.monotonic()
        if known is not None and now_s - known.looked_up_at_s <= REFRESH_S and wanted in known.answers:
            return known.answers[wanted]
        scopes = frozenset(wanted)
        known = await self._standing(org_id, scopes)
        found = tuple(budget for budget in known.budgets if budget.scope in scopes)
        known.answers[wanted] = tuple(sorted(found, key=lambda budget: budget.id))
        return known.answers[wanted]

    async def _standing(self, org_id: str, scopes: frozenset[BudgetScope]) -> _Known:
        known = self._fresh(org_id, scopes)
        if known is None:
            async with self._looking_up:
                known = self._fresh(org_id, scopes) or await self._looked_up_or_trusted(org_id, scopes)
        elif self._clock.monotonic() - known.looked_up_at_s > REFRESH_S and org_id not in self._refreshing:
            self._refreshing[org_id] = asyncio.create_task(self._refresh(org_id, scopes))
        return known

    def _fresh(self, org_id: str, scopes: frozenset[BudgetScope]) -> _Known | None:
        known = self._known.get(org_id)
        if known is None or not scopes <= known.asked:
            return None
        now_s = self._clock.monotonic()
        trusted_s = TRUSTED_S if now_s < self._silent_until_s else REMEMBERED_S
        return known if now_s - known.looked_up_at_s <= trusted_s else None

    async def _refresh(self, org_id: str, scopes: frozenset[BudgetScope]) -> None:
        try:
            await self._look_up(org_id, scopes)
        except BudgetUnavailableError:
            log.warning("budgets_not_refreshed", extra={"org_id": org_id})
        finally:
            del self._refreshing[org_id]

    async def _looked_up_or_trusted(self, org_id: str, scopes: frozenset[BudgetScope]) -> _Known:
        known = self._known.get(org_id)
        try:
            return await self._look_up(org_id, scopes)
        except BudgetUnavailableError:
            if known is None or self._clock.monotonic() - known.looked_up_at_s > TRUSTED_S:
                raise
            return known

    async def _look_up(self, org_id: str, scopes: frozenset[BudgetScope]) -> _Known:
        before, now_s = self._known.get(org_id), self._clock.monotonic()
        try:
            async with answering(self._answer_limit_s), self._database.for_org(UUID(org_id)).read() as db:
                rows = await BudgetRepository(db).standing(UUID(org_id))
        except BudgetUnavailableError:
            self._silent_until_s = self._clock.monotonic() + SILENT_S
            raise
        self._silent_until_s = float("-inf")
        is_same_time = before is not None and now_s - before.looked_up_at_s <= REMEMBERED_S
        asked = scopes | before.asked if before is not None and is_same_time else scopes
        known = _Known(tuple(_budget(row) for row in rows), now_s, asked)
        if self._known.get(org_id) is before:
            self._known[org_id] = known
        return known

    async def _of_run(self, org_id: str, scope: BudgetScope) -> Budget | None:
        """A run's budget is made with the run and never changes, so it is remembered for good."""
        if scope.id not in self._runs:
            async with answering(), self._database.for_org(UUID(org_id)).read() as db:
                row = await BudgetRepository(db).find_on(UUID(org_id), scope, "total")
            self._runs[scope.id] = None if row is None else _budget(row)
            while len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)
        return self._runs[scope.id]


def _budget(row: BudgetRow) -> Budget:
    return Budget(str(row.id), scope_of(row), period_of(row))
