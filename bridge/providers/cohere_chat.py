"""Cohere's v2 chat dialect. Requests, whole replies and streams have a file each.

Source: Cohere API reference, "Chat (v2)" and "Chat with streaming (v2)".
"""

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse
from bridge.json_types import JsonObject
from bridge.providers.cohere_chat_reply import response_of
from bridge.providers.cohere_chat_request import body_of, lacks_of
from bridge.providers.cohere_chat_stream import CohereEventReader
from bridge.providers.cohere_endpoint import headers_for
from bridge.transport import WireRequest


class CohereChat:
    """v2 chat. Pure mapping: no sockets, no clock, no retries."""

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest:
        return WireRequest(path="/v2/chat", body=body_of(request, target, stream=stream), headers=headers_for(target))

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        return response_of(payload, target)

    def reader(self, target: Deployment) -> CohereEventReader:
        return CohereEventReader(target)

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        return lacks_of(request)
