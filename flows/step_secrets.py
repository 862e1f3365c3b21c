"""Values of secrets for as long as a step runs, and how none of them stays in what it gives back."""

from collections.abc import Mapping

from flows.plan import PlanStep
from flows.secret_reads import names_read
from flows.walk import Walk
from nodes.errors import NodeError


async def secrets_of(walk: Walk, step: PlanStep) -> Mapping[str, str]:
    """The secrets that the step's block reads, by name. Raises NodeError when one is not there."""
    cls = walk.services.node_types.get(step.type)
    names = sorted(names_read(step.config, cls)) if cls is not None and cls.secret_fields else []
    if not names:
        return {}
    found = await walk.services.outside.secrets.of(walk.run.org_id, names)
    missing = [name for name in names if name not in found]
    if missing:
        listed = ", ".join(missing)
        raise NodeError(
            f"there is no secret {listed}: set it in the organisation's secrets (PUT /api/secrets/{missing[0]}), or "
            f"for local runs as MODELBRIDGE_SECRET_{missing[0]}",
            error_class="invalid_request",
        )
    return found
