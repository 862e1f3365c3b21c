"""/api/secrets: names and times of the caller's organisation's secrets. No route answers a value."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from platform_api.auth.caller import Now, Services, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.secrets import service
from platform_api.secrets.repository import SecretRepository
from platform_api.secrets.schemas import NewSecret, SecretView, view_of
from platform_api.security.encryption import Envelope
from platform_api.security.root_secret import root_secret
from platform_api.settings import SecretName

router = APIRouter(prefix="/api/secrets", tags=["secrets"])

SecretReader = Annotated[Caller, Depends(require("secret:read"))]
SecretAdmin = Annotated[Caller, Depends(require("secret:write"))]


@router.get("", operation_id="secrets_list")
async def list_secrets(caller: SecretReader, sessions: Sessions) -> list[SecretView]:
    """All secrets by name, without their values."""
    async with sessions.read() as db:
        return [view_of(row) for row in await SecretRepository(db).all(caller.org_id)]


@router.put("/{name}", operation_id="secrets_set")
async def set_secret(
    name: SecretName, body: NewSecret, caller: SecretAdmin, sessions: Sessions, identity: Services
) -> SecretView:
    """Make a secret or replace its value. Nothing shows the value again."""
    envelope, now = Envelope(root_secret(identity.settings)), identity.clock.now()
    async with sessions() as db:
        value = body.value.get_secret_value()
        return view_of(await service.set_secret(db, caller, name, value, envelope=envelope, now=now))


@router.delete("/{name}", status_code=204, operation_id="secrets_remove")
async def remove_secret(name: SecretName, caller: SecretAdmin, sessions: Sessions, now: Now) -> Response:
    """Forget a secret. Flows that read it fail from now on."""
    async with sessions() as db:
        await service.remove_secret(db, caller, name, now=now)
    return Response(status_code=204)
