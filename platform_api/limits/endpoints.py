"""/api/limits: what the caller may use, and the organisation's own limits."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.auth.audit import audit
from platform_api.auth.caller import Db, Now, Services, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.database.tables.identity import OrganizationRow
from platform_api.errors import NotFoundError
from platform_api.limits.turnstile import TenantLimitsOf
from platform_api.rates import OwnRates, Rates

router = APIRouter(prefix="/api/limits", tags=["limits"])

OrgReader = Annotated[Caller, Depends(require("org:read"))]
OrgAdmin = Annotated[Caller, Depends(require("org:write"))]


class LimitsView(BaseModel):
    """Limits in force. Answers of the data plane tell what is left of them."""

    key: Rates | None
    """Of the key that asks; null for a person."""
    organization: Rates
    """Of all keys and people of the organisation together."""
    own: Rates
    """What the organisation set itself; the operator's limits are the ceiling."""


@router.get("", operation_id="limits_current")
async def current(caller: OrgReader, db: Db, limits: TenantLimitsOf) -> LimitsView:
    """The limits of the caller's key and organisation."""
    row = await _row(db, caller)
    own = OwnRates(caller.limits.key, Rates.stored(row.limits), row.plan)
    return LimitsView(
        key=None if caller.key_id is None else own.of_key(limits.config),
        organization=own.of_organization(limits.config),
        own=own.organization,
    )


@router.put("/organization", operation_id="limits_set_organization")
async def set_organization(
    body: Rates, caller: OrgAdmin, sessions: Sessions, *, limits: TenantLimitsOf, identity: Services, now: Now
) -> LimitsView:
    """Set the organisation's own limits, in place of the former ones. They hold from the next request on."""
    async with sessions() as db:
        row = await _row(db, caller)
        row.limits = body.to_row()
        audit(db, "organization.limits_changed", org_id=row.id, now=now, caller=caller, limits=row.limits or {})
        plan = row.plan
    identity.authenticator.forget_all()
    own = OwnRates(caller.limits.key, body, plan)
    return LimitsView(key=None, organization=own.of_organization(limits.config), own=body)


async def _row(db: AsyncSession, caller: Caller) -> OrganizationRow:
    row = await db.get(OrganizationRow, caller.org_id)
    if row is None:
        raise NotFoundError("organisation", caller.org_id)
    return row
