"""The Anthropic Messages dialect. Requests, whole replies and streams have a file each.

Source: Anthropic API reference, "Messages", version 2023-06-01; extended thinking, structured outputs, tool use guides.
"""

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse
from bridge.json_types import JsonObject
from bridge.providers.anthropic_messages_reply import response_of
from bridge.providers.anthropic_messages_request import body_of, lacks_of
from bridge.providers.anthropic_messages_stream import AnthropicEventReader
from bridge.transport import WireRequest

API_VERSION = "2023-06-01"


class AnthropicMessages:
    """Messages. Pure mapping: no sockets, no clock, no retries."""

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest:
        return WireRequest(
            path="/v1/messages", body=body_of(request, target, stream=stream), headers=headers_for(target)
        )

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        return response_of(payload, target)

    def reader(self, target: Deployment) -> AnthropicEventReader:
        return AnthropicEventReader(target)

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        return lacks_of(request, target)


def headers_for(target: Deployment) -> dict[str, str]:
    """Version and credential; what the configuration adds may replace the version."""
    headers = {"anthropic-version": API_VERSION, **target.headers}
    if target.api_key:
        headers["x-api-key"] = target.api_key
    return headers
