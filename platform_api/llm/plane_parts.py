"""What the data plane works with, and who calls it on whose behalf."""

from dataclasses import dataclass

from bridge.call_record import CallContext
from bridge.gateway import Bridge
from platform_api.auth.authenticator import Authenticator
from platform_api.auth.principals import Caller
from platform_api.errors import ForbiddenError
from platform_api.limits.service import Admission, Reserve, TenantLimits
from platform_api.llm.client_request import ClientRequest
from platform_api.llm.flow_model import FlowModels
from platform_api.structured_logging import request_id
from platform_api.trace_context import current_traceparent

PERMISSION = "llm:call"
MAX_NAME_CHARS = 200
"""Of what a caller names in a header."""


@dataclass(frozen=True, slots=True)
class PlaneParts:
    """There once the process has started."""

    bridge: Bridge
    authenticator: Authenticator
    flows: FlowModels
    limits: TenantLimits

    def admission(self, request: ClientRequest, caller: Caller, reserve: Reserve | None = None) -> Admission:
        """`async with` around a request: one, and as many tokens as `reserve` says, under the caller's limits."""
        return Admission(self.limits, caller, request.tell_limits, reserve)


async def caller_of(request: ClientRequest, authenticator: Authenticator) -> Caller:
    """Who calls. Raises UnauthenticatedError, ForbiddenError."""
    caller = await authenticator.authenticate(request.header(b"authorization"), request.header(b"x-api-key"))
    if not caller.may(PERMISSION):
        raise ForbiddenError(f"this needs the permission {PERMISSION}")
    return caller


def check_model(caller: Caller, model: str) -> None:
    """Raises ForbiddenError for a model that the caller's key may not use."""
    if caller.models is not None and model not in caller.models:
        raise ForbiddenError(f"this key may not use {model}", code="model_not_allowed")


def context_of(request: ClientRequest, caller: Caller) -> CallContext:
    """On whose behalf the call is made, and what its headers say of it."""
    conversation = request.header(b"x-modelbridge-conversation")
    return CallContext(
        org_id=str(caller.org_id),
        key_id=None if caller.key_id is None else str(caller.key_id),
        user_id=None if caller.user_id is None else str(caller.user_id),
        task=request.header(b"x-modelbridge-task"),
        request_id=request_id(),
        traceparent=current_traceparent(),
        conversation=None if conversation is None else conversation[:MAX_NAME_CHARS],
        allowed_models=None if caller.models is None else tuple(sorted(caller.models)),
    )
