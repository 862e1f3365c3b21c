"""Triggers over HTTP: the webhooks themselves, and what their owners do with them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from platform_api.auth.caller import PUBLIC, Db, Now, Services, require
from platform_api.auth.principals import Caller
from platform_api.errors import TooLargeError
from platform_api.flow_api import triggers
from platform_api.flow_api.services import Flows
from platform_api.flow_api.trigger_schemas import Delivered, TriggerChange, TriggerItem, TriggerSecret
from platform_api.security.encryption import Envelope
from platform_api.security.root_secret import root_secret

router = APIRouter(prefix="/api", tags=["triggers"])

FlowReader = Annotated[Caller, Depends(require("flow:read"))]
FlowPublisher = Annotated[Caller, Depends(require("flow:publish"))]
HookName = Annotated[str, Path(max_length=130, description="`flow.trigger`.")]


@router.get("/triggers", operation_id="trigger_list")
async def list_triggers(
    caller: FlowReader, db: Db, flow: Annotated[str | None, Query(max_length=63)] = None
) -> list[TriggerItem]:
    """The webhooks and ends of runs that start published flows."""
    return await triggers.list_triggers(db, caller.org_id, flow)


@router.patch("/triggers/{trigger}", operation_id="trigger_update")
async def change_trigger(
    trigger: UUID, wanted: TriggerChange, *, caller: FlowPublisher, db: Db, now: Now
) -> TriggerItem:
    """Pause or resume a trigger; a new version of the flow leaves it so."""
    return await triggers.pause(db, caller, trigger, is_paused=wanted.paused, now=now)


@router.post("/triggers/{trigger}/secret", operation_id="trigger_secret")
async def make_secret(trigger: UUID, *, caller: FlowPublisher, db: Db, identity: Services, now: Now) -> TriggerSecret:
    """A new secret of a webhook, shown this once; the one before stays valid for 24 hours."""
    envelope = Envelope(root_secret(identity.settings))
    return await triggers.new_trigger_secret(db, caller, trigger, envelope=envelope, now=now)


@router.post("/hooks/{org}/{hook}", status_code=202, operation_id="hook_deliver", dependencies=[PUBLIC])
async def deliver(
    org: Annotated[str, Path(max_length=80)], hook: HookName, request: Request, flows: Flows
) -> Delivered:
    """Start a flow: JSON, signed as Standard Webhooks says (webhook-id, webhook-timestamp, webhook-signature)."""
    body = await request.body()
    if len(body) > triggers.MAX_BODY_BYTES:
        raise TooLargeError(f"a delivery has at most {triggers.MAX_BODY_BYTES:,} bytes")
    return await flows.hooks.deliver(org, hook, triggers.Delivery(body, dict(request.headers)))
