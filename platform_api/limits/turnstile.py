"""Limits for routes of FastAPI: a dependency that admits, and tells what is left in the headers of the answer."""

from collections.abc import Sequence
from typing import Annotated, cast

from fastapi import Depends, Request, Response

from platform_api.auth.caller import CurrentCaller
from platform_api.limits.headers import draft_headers
from platform_api.limits.service import Admission, Reserve, TenantLimits
from platform_api.limits.windows import Room


def limits_of(request: Request) -> TenantLimits:
    """The limits of this process."""
    return cast("TenantLimits", request.app.state.limits)


class _Turnstile:
    def __init__(self, request: Request, response: Response, caller: CurrentCaller) -> None:
        self._limits = limits_of(request)
        self._response = response
        self._caller = caller

    def admission(self, reserve: Reserve | None = None) -> Admission:
        """`async with` around the work of a request."""
        return Admission(self._limits, self._caller, self._tell, reserve)

    def _tell(self, rooms: Sequence[Room]) -> None:
        self._response.headers.update(draft_headers(rooms))


Turnstile = Annotated[_Turnstile, Depends(_Turnstile)]
"""For handlers that reserve tokens: `async with turnstile.admission(reserve) as admitted`."""


async def _limited(turnstile: Turnstile) -> None:
    async with turnstile.admission():
        pass


Limited = Annotated[None, Depends(_limited)]
"""For routes that count as one request and no tokens. It stands after the parameter that checks the permission."""
TenantLimitsOf = Annotated[TenantLimits, Depends(limits_of)]
