"""GET /v1/models and /v1/models/{model}."""

from bridge.errors import UnknownModelError
from platform_api.llm import openai_models
from platform_api.llm.client_request import JSON, ClientRequest
from platform_api.llm.plane_parts import PlaneParts, caller_of

PATH = "/v1/models"


async def list_models(request: ClientRequest, parts: PlaneParts) -> None:
    """Aliases and models that the caller may use now. Raises UnknownModelError."""
    caller = await caller_of(request, parts.authenticator)
    bridge = parts.bridge
    names = [(alias.name, "modelbridge") for alias in bridge.aliases()]
    names += [(entry.name, entry.provider) for entry in bridge.models()]
    allowed = [pair for pair in names if caller.models is None or pair[0] in caller.models]
    wanted = request.path.removeprefix(PATH).lstrip("/")
    if not wanted:
        await request.answer(openai_models.models_list(iter(allowed), created=0), [JSON])
        return
    owner = dict(allowed).get(wanted)
    if owner is None:
        raise UnknownModelError(wanted, suggestion=bridge.suggest(wanted))
    await request.answer(openai_models.model_object(wanted, owner, created=0), [JSON])
