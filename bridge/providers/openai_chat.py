"""The chat-completions dialect: OpenAI, everything that imitates it, the mock and the local model.

Requests, whole replies and streams have a file each; what differs between vendors is data in `compatible_vendors`.
Source: OpenAI API reference, "Chat".
"""

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse
from bridge.json_types import JsonObject
from bridge.providers.compatible_vendors import vendor_of
from bridge.providers.openai_chat_reply import response_of
from bridge.providers.openai_chat_request import body_of, lacks_of
from bridge.providers.openai_chat_stream import OpenAiEventReader
from bridge.providers.openai_endpoint import headers_for, path_for
from bridge.transport import WireRequest


class OpenAiChat:
    """Chat completions. Pure mapping: no sockets, no clock, no retries."""

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest:
        quirks = vendor_of(target).quirks
        return WireRequest(
            path=path_for(target, "/chat/completions"),
            body=body_of(request, target.model_id, quirks, stream=stream),
            headers=headers_for(target, quirks),
        )

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        return response_of(payload, target)

    def reader(self, target: Deployment) -> OpenAiEventReader:
        return OpenAiEventReader(target)

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        return lacks_of(request, vendor_of(target).quirks)
