"""How many tokens there are where no provider has counted: an estimate from UTF-8 bytes, and whoever uses it says so.

The ratio follows what each model's provider counts. Upper bounds for money are in `budgets`.
"""

import msgspec

from bridge.chat import ChatRequest, ImagePart, Message, TextPart
from bridge.json_types import JsonValue

BYTES_PER_TOKEN = 4.0
MESSAGE_ALLOWANCE_BYTES = 16
"""Role and separators of one message, as the chat template writes them."""
IMAGE_EXPECTED_TOKENS = 1_000
SCHEMA_PROMPT_BYTES = 512
"""The words that put a schema into the prompt where a model has no native mode."""

LEARNING_RATE = 0.2
LEAST_BYTES_TO_LEARN_FROM = 200


def text_bytes(text: str) -> int:
    """UTF-8 bytes of `text`."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def prompt_bytes(request: ChatRequest) -> int:
    """Bytes of everything the model reads as text: messages, tools, schema, with an allowance for each."""
    total = sum(_message_bytes(message) for message in request.messages)
    for tool in request.tools:
        total += MESSAGE_ALLOWANCE_BYTES + text_bytes(tool.name) + text_bytes(tool.description)
        total += _json_bytes(tool.parameters)
    if request.response_format is not None:
        total += SCHEMA_PROMPT_BYTES + _json_bytes(request.response_format.schema)
    return total


class TokenEstimator:
    """Tokens by bytes, with a ratio for each model that follows what its provider counted."""

    def __init__(self) -> None:
        self._bytes_per_token: dict[str, float] = {}

    def tokens(self, model: str, n_bytes: int) -> int:
        """Tokens of `n_bytes` of text; at least 1 where there is any."""
        if n_bytes <= 0:
            return 0
        return max(1, round(n_bytes / self._bytes_per_token.get(model, BYTES_PER_TOKEN)))

    def input_tokens(self, model: str, request: ChatRequest) -> int:
        """Tokens that `request` will count as input."""
        return self.tokens(model, prompt_bytes(request)) + IMAGE_EXPECTED_TOKENS * _images(request)

    def learn(self, model: str, request: ChatRequest, input_tokens: int) -> None:
        """Take in what a provider counted for `request`."""
        n_bytes = prompt_bytes(request)
        if n_bytes < LEAST_BYTES_TO_LEARN_FROM or input_tokens <= 0 or _images(request):
            return
        seen = min(max(n_bytes / input_tokens, 1.0), 16.0)
        known = self._bytes_per_token.get(model, seen)
        self._bytes_per_token[model] = known + LEARNING_RATE * (seen - known)


def _images(request: ChatRequest) -> int:
    return sum(isinstance(part, ImagePart) for message in request.messages for part in message.content)


def _message_bytes(message: Message) -> int:
    total = MESSAGE_ALLOWANCE_BYTES
    for part in message.content:
        if isinstance(part, TextPart):
            total += text_bytes(part.text)
    if message.name:
        total += text_bytes(message.name)
    for call in message.tool_calls:
        total += MESSAGE_ALLOWANCE_BYTES + text_bytes(call.name) + text_bytes(call.arguments) + text_bytes(call.id)
    for thought in message.reasoning:
        total += MESSAGE_ALLOWANCE_BYTES + text_bytes(thought.text) + text_bytes(thought.signature)
    return total + (text_bytes(message.tool_call_id) if message.tool_call_id else 0)


def _json_bytes(value: JsonValue) -> int:
    return 0 if value is None else len(msgspec.json.encode(value, enc_hook=dict))
