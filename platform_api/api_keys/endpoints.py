"""/api/auth/api-keys: the keys of the caller's organisation."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from platform_api.api_keys import service
from platform_api.api_keys.repository import ApiKeyRepository
from platform_api.api_keys.schemas import CreatedKey, KeyChange, KeyView, NewKey, Rotation, view_of
from platform_api.auth.caller import Now, Services, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.paging import Page, Paging

router = APIRouter(prefix="/api/auth/api-keys", tags=["api-keys"])

KeyReader = Annotated[Caller, Depends(require("key:read"))]
KeyAdmin = Annotated[Caller, Depends(require("key:write"))]


@router.get("", operation_id="api_keys_list")
async def list_keys(caller: KeyReader, sessions: Sessions, query: Paging) -> Page[KeyView]:
    """Keys, newest first; revoked ones too."""
    async with sessions.read() as db:
        rows, next_cursor = await ApiKeyRepository(db).page(caller.org_id, query)
    return Page(items=[view_of(row) for row in rows], next_cursor=next_cursor)


@router.post("", status_code=201, operation_id="api_keys_create")
async def create_key(body: NewKey, caller: KeyAdmin, sessions: Sessions, now: Now) -> CreatedKey:
    """Make a key. Its text is in this answer and nowhere else."""
    async with sessions() as db:
        made = await service.create_key(db, caller, body, now=now)
    return CreatedKey(**view_of(made.row).model_dump(), key=made.text)


@router.get("/{key_id}", operation_id="api_keys_get")
async def get_key(key_id: UUID, caller: KeyReader, sessions: Sessions) -> KeyView:
    """One key."""
    async with sessions.read() as db:
        return view_of(await service.find_key(db, caller, key_id))


@router.patch("/{key_id}", operation_id="api_keys_change")
async def change_key(
    key_id: UUID, body: KeyChange, caller: KeyAdmin, sessions: Sessions, identity: Services
) -> KeyView:
    """Change name, scopes, models or end of a key; what the body leaves out stays."""
    async with sessions() as db:
        row = await service.change_key(db, caller, key_id, body, now=identity.clock.now())
    identity.authenticator.forget(f"key:{row.key_hash}")
    return view_of(row)


@router.delete("/{key_id}", status_code=204, operation_id="api_keys_revoke")
async def revoke_key(key_id: UUID, caller: KeyAdmin, sessions: Sessions, identity: Services) -> Response:
    """Revoke a key. The row stays; the key stops working here at once and in other processes within a second."""
    async with sessions() as db:
        row = await service.revoke_key(db, caller, key_id, now=identity.clock.now())
    identity.authenticator.forget(f"key:{row.key_hash}")
    return Response(status_code=204)


@router.post("/{key_id}/rotate", status_code=201, operation_id="api_keys_rotate")
async def rotate_key(
    key_id: UUID, caller: KeyAdmin, sessions: Sessions, identity: Services, body: Rotation | None = None
) -> CreatedKey:
    """Make a successor; the old key works until the grace is over."""
    grace = timedelta(hours=(body or Rotation()).grace_hours)
    async with sessions() as db:
        made, old = await service.rotate_key(db, caller, key_id, grace=grace, now=identity.clock.now())
    identity.authenticator.forget(f"key:{old.key_hash}")
    return CreatedKey(**view_of(made.row).model_dump(), key=made.text)
