"""The mock in every dialect: what each has to say about requests, refusals, answers and streams."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from bridge.errors import ConfigurationError
from bridge.json_types import JsonObject
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault
from bridge.providers.mock_wire import OpenAiMock
from bridge.providers.mock_wire_anthropic import AnthropicMock
from bridge.providers.mock_wire_cohere import CohereMock
from bridge.providers.mock_wire_gemini import GeminiMock
from bridge.providers.mock_wire_ollama import OllamaMock
from bridge.transport import WireReply, WireRequest


class MockDialect(Protocol):
    """One dialect, from the provider's side."""

    @property
    def stream_type(self) -> str:
        """Content type of a stream."""
        ...

    @property
    def preamble(self) -> int:
        """Events of a stream before its first content."""
        ...

    @property
    def broken_event(self) -> bytes:
        """An event that cannot be read."""
        ...

    def chat_body(self, request: WireRequest) -> JsonObject:
        """The request as a chat completion, which is what scripts look at."""
        ...

    def refusal(self, fault: MockFault) -> WireReply:
        """The reply of a fault that shows in the head."""
        ...

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes: ...

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]: ...


MOCK_DIALECTS: Mapping[str, MockDialect] = {
    "openai": OpenAiMock(),
    "anthropic": AnthropicMock(),
    "gemini": GeminiMock(),
    "cohere": CohereMock(),
    "ollama": OllamaMock(),
}


def mock_dialect(dialect: str) -> MockDialect:
    """The mock's side of `dialect`. Raises ConfigurationError for one that nobody speaks."""
    found = MOCK_DIALECTS.get(dialect)
    if found is None:
        raise ConfigurationError(f"the mock does not speak {dialect!r}; it speaks {', '.join(sorted(MOCK_DIALECTS))}")
    return found
