"""/api/organizations: the caller's organisation and its members."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from platform_api.auth.caller import Db, Now, Services, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.auth.schemas import OrganizationView
from platform_api.errors import NotFoundError
from platform_api.organizations import service
from platform_api.organizations.repository import OrganizationRepository
from platform_api.organizations.schemas import MemberView, OrganizationChange, RoleChange
from platform_api.paging import Page

router = APIRouter(prefix="/api/organizations", tags=["organizations"])

OrgReader = Annotated[Caller, Depends(require("org:read"))]
OrgAdmin = Annotated[Caller, Depends(require("org:write"))]
MemberReader = Annotated[Caller, Depends(require("member:read"))]
MemberAdmin = Annotated[Caller, Depends(require("member:write"))]


@router.get("/current", operation_id="organizations_current")
async def current(caller: OrgReader, db: Db) -> OrganizationView:
    """The caller's organisation."""
    row = await OrganizationRepository(db).get(caller.org_id)
    if row is None:
        raise NotFoundError("organisation", caller.org_id)
    return OrganizationView.model_validate(row, from_attributes=True)


@router.patch("/current", operation_id="organizations_rename")
async def rename(body: OrganizationChange, caller: OrgAdmin, db: Db, now: Now) -> OrganizationView:
    """Change the organisation's name."""
    row = await service.rename(db, caller, body.name, now=now)
    return OrganizationView.model_validate(row, from_attributes=True)


@router.get("/current/members", operation_id="organizations_members")
async def members(caller: MemberReader, db: Db) -> Page[MemberView]:
    """Who belongs to the organisation."""
    found = await OrganizationRepository(db).members(caller.org_id)
    items = [
        MemberView(user_id=user.id, email=user.email, name=user.name, role=member.role, joined_at=member.created_at)
        for member, user in found
    ]
    return Page(items=items)


@router.patch("/current/members/{user_id}", status_code=204, operation_id="organizations_change_role")
async def change_role(
    user_id: UUID, body: RoleChange, caller: MemberAdmin, sessions: Sessions, identity: Services
) -> Response:
    """Give a member another role; it counts from their next request."""
    async with sessions() as db:
        await service.change_role(db, caller, user_id, body.role, now=identity.clock.now())
    identity.authenticator.forget_all()
    return Response(status_code=204)


@router.delete("/current/members/{user_id}", status_code=204, operation_id="organizations_remove_member")
async def remove_member(user_id: UUID, caller: MemberAdmin, sessions: Sessions, identity: Services) -> Response:
    """Remove a member with their keys and sessions here."""
    async with sessions() as db:
        await service.remove_member(db, caller, user_id, now=identity.clock.now())
    identity.authenticator.forget_all()
    return Response(status_code=204)
