"""What runs and people read of artifacts: big outputs of steps in the view of a run, and any artifact by its handle."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from flows.payloads import stored_elsewhere
from nodes.artifacts import ArtifactStore, ArtifactsUnavailableError, MissingArtifactError
from platform_api.database.tables.flows import StepRunRow

SHOWN_BYTES = 1024 * 1024
"""Of all outputs in the view of one run; those beyond are shown as their handles."""


def artifact_store(request: Request) -> ArtifactStore:
    """The application's artifact store."""
    return cast("ArtifactStore", request.app.state.runtime.engine.outside.artifacts)


Artifacts = Annotated[ArtifactStore, Depends(artifact_store)]


async def outputs_elsewhere(artifacts: ArtifactStore, org_id: str, steps: Sequence[StepRunRow]) -> Mapping[str, Any]:
    """By path, the outputs that lie in the store and fit into SHOWN_BYTES. What cannot be read now is left out."""
    room = SHOWN_BYTES
    found: dict[str, Any] = {}
    for step in steps:
        place = stored_elsewhere(step.status, None if step.output is None else step.output["value"])
        if place is None or place.n_bytes > room:
            continue
        try:
            found[step.path] = json.loads(await artifacts.get(org_id, place.handle))
        except (ArtifactsUnavailableError, MissingArtifactError):
            continue
        room -= place.n_bytes
    return found
