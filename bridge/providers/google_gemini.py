"""Google's generateContent dialect, of the Gemini API and of Vertex AI. Requests, replies and streams have a file each.

Source: Gemini API reference, "Generating content", v1beta; Vertex AI reference, "generateContent".
"""

from urllib.parse import urlsplit

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse
from bridge.json_types import JsonObject
from bridge.providers.google_gemini_reply import response_of
from bridge.providers.google_gemini_request import body_of, lacks_of
from bridge.providers.google_gemini_stream import GeminiEventReader
from bridge.transport import WireRequest


class GoogleGemini:
    """generateContent. Pure mapping: no sockets, no clock, no retries."""

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest:
        return WireRequest(
            path=path_for(target, "streamGenerateContent" if stream else "generateContent"),
            body=body_of(request, target),
            headers=headers_for(target),
            query={"alt": "sse"} if stream else {},
        )

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        return response_of(payload, target)

    def reader(self, target: Deployment) -> GeminiEventReader:
        return GeminiEventReader(target)

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        return lacks_of(request)


def is_vertex(target: Deployment) -> bool:
    """Is it Vertex AI, whose base URL ends in `.../publishers/google`?"""
    return "/publishers/" in urlsplit(target.base_url).path


def path_for(target: Deployment, operation: str) -> str:
    """The operation on the model, below the base URL; the API's version is added where the base URL has none."""
    path = urlsplit(target.base_url).path
    has_version = is_vertex(target) or path.rstrip("/").rpartition("/")[2].startswith("v1")
    model = target.model_id if "/" in target.model_id else f"models/{target.model_id}"
    return f"{'' if has_version else '/v1beta'}/{model}:{operation}"


def headers_for(target: Deployment) -> dict[str, str]:
    """The key in the header of the Gemini API; Vertex AI takes an access token."""
    headers = dict(target.headers)
    if target.api_key:
        if is_vertex(target):
            headers["authorization"] = f"Bearer {target.api_key}"
        else:
            headers["x-goog-api-key"] = target.api_key
    return headers
