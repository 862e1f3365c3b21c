"""What /openapi.json says of /v1: the data plane stands before FastAPI, which therefore knows nothing of it.

The schemas of bodies come from the types that read them, so the description cannot drift from the reader; those of
answers are in `answer_description`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from bridge.json_types import JsonObject
from platform_api.llm.answer_description import ANSWERS, TEXT, TEXT_OR_NULL, answered, referred, shape
from platform_api.llm.anthropic_messages_request import MessagesBody
from platform_api.llm.data_plane import MODELS
from platform_api.llm.embeddings_endpoint import EmbeddingsBody
from platform_api.llm.openai_chat_request import ChatBody
from platform_api.llm.openai_responses_request import ResponsesBody
from platform_api.problem_responses import STATUSES

REFERENCE = "#/components/schemas/{name}"
KEY, ANTHROPIC_KEY = "API key", "API key as Anthropic's clients send it"
COUNTED = "Input tokens of a message, estimated for free"
BODIES: Mapping[str, tuple[type, str, str, str]] = {
    "/v1/chat/completions": (ChatBody, "A chat completion", "ChatCompletion", "OpenAIError"),
    "/v1/responses": (ResponsesBody, "A model response", "ModelResponse", "OpenAIError"),
    "/v1/embeddings": (EmbeddingsBody, "One vector a text", "Embeddings", "OpenAIError"),
    "/v1/messages": (MessagesBody, "A message", "MessageReply", "AnthropicError"),
    "/v1/messages/count_tokens": (MessagesBody, COUNTED, "TokenCount", "AnthropicError"),
}
"""What each path reads, what it answers, in words and by name, and the shape of its errors."""
REFUSALS: Mapping[int, str] = {
    **{status: said for status, said in STATUSES.items() if status not in {409, 422}},
    400: "The body or a field of it cannot be served; the message names it",
    529: "Nobody can answer now, as Anthropic says it",
}
"""The dialects know no 422, and nothing under /v1 conflicts."""


def described_paths() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Paths and components of the data plane, to be joined with FastAPI's."""
    kinds = list({body for body, *_ in BODIES.values()})
    schemas, named = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=REFERENCE)
    of_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {
        path: {"post": _posted(path, of_kind[body], answered(what, answer, has_facts=answer != "TokenCount"), error)}
        for path, (body, what, answer, error) in BODIES.items()
    }
    several = answered("Models and aliases that the caller may use", "OpenAIModels", "AnthropicModels", has_facts=False)
    paths[MODELS] = {"get": _listed("list_models", several)}
    one = _listed("get_model", answered("One model or alias", "OpenAIModel", "AnthropicModel", has_facts=False))
    paths[f"{MODELS}/{{model}}"] = {"get": {**one, "parameters": [_model_parameter()]}}
    security = {
        KEY: {"type": "http", "scheme": "bearer"},
        ANTHROPIC_KEY: {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return paths, {"schemas": {**named, **ANSWERS, **_error_schemas()}, "securitySchemes": security}


def _anything(kind: type) -> dict[str, Any]:
    """The schema of what the readers leave open, such as a tool's own JSON Schema."""
    if kind is not object:
        raise NotImplementedError(kind)
    return {"description": "any JSON value"}


def _posted(path: str, body: Mapping[str, Any], answer: Mapping[str, Any], error: str) -> dict[str, Any]:
    return {
        "operationId": path.removeprefix("/v1/").replace("/", "_"),
        "summary": answer["description"],
        "tags": ["llm"],
        "security": [{KEY: []}, {ANTHROPIC_KEY: []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": answer, **_refused(error)},
    }


def _listed(operation_id: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": answer["description"],
        "description": "In Anthropic's words where the client sends `anthropic-version`, else in OpenAI's.",
        "tags": ["llm"],
        "security": [{KEY: []}, {ANTHROPIC_KEY: []}],
        "responses": {"200": answer, **_refused("OpenAIError", "AnthropicError")},
    }


def _model_parameter() -> JsonObject:
    return {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _refused(*errors: str) -> dict[str, Any]:
    shapes = [referred(error) for error in errors]
    schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    content = {"application/json": {"schema": schema}}
    return {str(status): {"description": said, "content": content} for status, said in REFUSALS.items()}


def _error_schemas() -> dict[str, Any]:
    openai = shape({"message": TEXT, "type": TEXT, "param": TEXT_OR_NULL, "code": TEXT_OR_NULL})
    anthropic = shape({"type": TEXT, "message": TEXT})
    return {
        "OpenAIError": shape({"error": openai}),
        "AnthropicError": shape({"type": {"const": "error"}, "error": anthropic, "request_id": TEXT_OR_NULL}),
    }
