"""GET /v1/models and /v1/models/{model}, in the words of the client that asks."""

from collections.abc import Mapping
from typing import Protocol

from bridge.errors import UnknownModelError
from platform_api.auth.principals import Caller
from platform_api.llm import anthropic_models, openai_models
from platform_api.llm.client_request import JSON, ClientRequest
from platform_api.llm.flow_model import PROVIDER
from platform_api.llm.plane_parts import PlaneParts, caller_of

PATH = "/v1/models"
ANTHROPIC_VERSION = b"anthropic-version"
"""Every client of Anthropic's sends it: it tells whose words are meant where both have the same path."""


class ModelWords(Protocol):
    """How models are told. Both take names by owner, so that one order serves all."""

    def models_list(self, owners: Mapping[str, str]) -> bytes: ...
    def model_object(self, name: str, owner: str) -> bytes: ...


async def list_models(request: ClientRequest, parts: PlaneParts) -> None:
    """Aliases and models that the caller may use now. Raises UnknownModelError."""
    caller = await caller_of(request, parts.authenticator)
    async with parts.admission(request, caller):
        await _answer(request, parts, caller)


async def _answer(request: ClientRequest, parts: PlaneParts, caller: Caller) -> None:
    bridge = parts.bridge
    words: ModelWords = openai_models if request.header(ANTHROPIC_VERSION) is None else anthropic_models
    names = [(alias.name, "modelbridge") for alias in bridge.aliases()]
    names += [(entry.name, entry.provider) for entry in bridge.models()]
    names += [(name, PROVIDER) for name in await parts.flows.names(caller)]
    owners = {name: owner for name, owner in names if caller.models is None or name in caller.models}
    wanted = request.path.removeprefix(PATH).lstrip("/")
    if not wanted:
        await request.answer(words.models_list(owners), [JSON])
        return
    if wanted not in owners:
        raise UnknownModelError(wanted, suggestion=bridge.suggest(wanted))
    await request.answer(words.model_object(wanted, owners[wanted]), [JSON])
