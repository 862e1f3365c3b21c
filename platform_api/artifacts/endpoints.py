"""Artifacts over HTTP: the whole of what a run shows as a handle."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from nodes.artifacts import ArtifactsUnavailableError, MissingArtifactError
from platform_api.artifacts.reading import Artifacts
from platform_api.auth.caller import require
from platform_api.auth.principals import Caller
from platform_api.errors import NotFoundError, UnavailableError

router = APIRouter(prefix="/api", tags=["runs"])

ArtifactReader = Annotated[Caller, Depends(require("run:read"))]
Handle = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="As a step's output or `storage` says.")]


@router.get(
    "/artifacts/{handle}",
    operation_id="artifact_get",
    response_class=Response,
    responses={200: {"description": "The value.", "content": {"application/json": {"schema": {}}}}},
)
async def get_artifact(handle: Handle, caller: ArtifactReader, artifacts: Artifacts) -> Response:
    """The JSON that an artifact of your organisation holds. It never changes."""
    try:
        content = await artifacts.get(str(caller.org_id), handle)
    except MissingArtifactError as error:
        raise NotFoundError("artifact", handle) from error
    except ArtifactsUnavailableError as error:
        raise UnavailableError(str(error)) from error
    headers = {"cache-control": "private, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
    return Response(content, media_type="application/json", headers=headers)
