"""What a provider serves, by its own word: one GET a dialect, which also proves that it is reached and takes the key.

Sources: the vendors' API references, "List models"; Ollama docs, /api/tags.
"""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject
from bridge.providers import anthropic_messages, cohere_endpoint, google_gemini, openai_endpoint
from bridge.providers.compatible_vendors import vendor_of
from bridge.providers.ollama_chat import is_compatible
from bridge.transport import WireRequest

MOST = "1000"


class _Listed(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class _Reply(msgspec.Struct):
    data: list[_Listed] | None = None
    models: list[_Listed] | None = None


def list_request(target: Deployment) -> WireRequest:
    """The request for the list, with the deployment's key."""
    match target.dialect:
        case "anthropic":
            return _get("/v1/models", anthropic_messages.headers_for(target), {"limit": MOST})
        case "gemini":
            path = google_gemini.path_for(target, "").rpartition("/models/")[0] + "/models"
            return _get(path, google_gemini.headers_for(target), {"pageSize": MOST})
        case "cohere":
            return _get("/v1/models", cohere_endpoint.headers_for(target), {"page_size": MOST})
        case "ollama" if not is_compatible(target):
            return _get("/api/tags", dict(target.headers), {})
        case _:
            headers = openai_endpoint.headers_for(target, vendor_of(target).quirks)
            return _get(openai_endpoint.path_for(target, "/models"), headers, {})


def listed_models(payload: JsonObject, target: Deployment) -> tuple[str, ...]:
    """The ids in a reply, sorted. Raises MalformedReplyError."""
    try:
        reply = msgspec.convert(payload, _Reply)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    rows = reply.data if reply.data is not None else reply.models
    if rows is None:
        raise MalformedReplyError(f"{target.name}: the reply lists no models", deployment=target.name)
    names = (row.id or row.name for row in rows)
    return tuple(sorted({name.removeprefix("models/") for name in names if name}))


def _get(path: str, headers: dict[str, str], query: dict[str, str]) -> WireRequest:
    return WireRequest(path=path, body={}, headers=headers, method="GET", query=query)
