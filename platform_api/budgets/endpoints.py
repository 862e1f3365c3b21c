"""Budgets over HTTP."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from bridge.gateway import Bridge
from bridge.identifiers import new_id
from platform_api.auth.caller import Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.budgets import service
from platform_api.budgets.ledger import SqlBudgetLedger
from platform_api.budgets.schemas import BudgetItem, NewBudget
from platform_api.drained import Drained
from platform_api.paging import Page

router = APIRouter(prefix="/api/budgets", tags=["budgets"])

BudgetReader = Annotated[Caller, Depends(require("budget:read"))]
BudgetWriter = Annotated[Caller, Depends(require("budget:write"))]


class HeldBudgets:
    """What this process remembers and holds of budgets."""

    def __init__(self, request: Request) -> None:
        self._ledger = cast("SqlBudgetLedger", request.app.state.ledger)
        self._bridge = cast("Bridge", request.app.state.bridge)

    async def return_idle(self, org_id: UUID) -> None:
        """Give back what no call needs."""
        await self._bridge.return_idle_money(str(org_id))

    async def changed(self, org_id: UUID) -> None:
        """A budget was made, changed or lifted: it counts from the next call on."""
        self._ledger.forget(str(org_id))
        await self.return_idle(org_id)


Held = Annotated[HeldBudgets, Depends(HeldBudgets)]


@router.post("", status_code=201, operation_id="budget_create")
async def create_budget(new: NewBudget, caller: BudgetWriter, sessions: Sessions, held: Held, now: Now) -> BudgetItem:
    """Set a hard cap, or change the limit of the one on the same scope and period."""
    async with sessions() as db:
        item = await service.create(db, caller.org_id, new, now=now, new_id=new_id)
    await held.changed(caller.org_id)
    return item


@router.get("", operation_id="budget_list", dependencies=[Drained])
async def list_budgets(caller: BudgetReader, sessions: Sessions, held: Held, now: Now) -> Page[BudgetItem]:
    """All budgets with what is spent, held and left in their present windows."""
    await held.return_idle(caller.org_id)
    async with sessions.read() as db:
        return Page(items=await service.list_budgets(db, caller.org_id, now=now))


@router.delete("/{budget_id}", status_code=204, operation_id="budget_delete")
async def delete_budget(budget_id: UUID, caller: BudgetWriter, sessions: Sessions, held: Held) -> None:
    """Lift a budget."""
    async with sessions() as db:
        await service.remove(db, caller.org_id, budget_id)
    await held.changed(caller.org_id)
