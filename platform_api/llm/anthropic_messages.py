"""Messages as Anthropic's clients speak them: a ChatDialect, and what a prompt counts."""

import msgspec

from bridge.chat import ChatRequest, ChatResponse
from platform_api.llm.anthropic_errors import AnthropicErrors
from platform_api.llm.anthropic_messages_reply import EventEncoder, message
from platform_api.llm.anthropic_messages_request import read_body, to_request
from platform_api.llm.carried_signatures import CarryingEncoder, with_carried
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.client_request import JSON, ClientRequest
from platform_api.llm.plane_parts import PlaneParts, caller_of, check_model, context_of


class AnthropicMessages(AnthropicErrors):
    """`POST /v1/messages`."""

    def read(self, raw: bytes) -> "MessageCall":
        body = read_body(raw)
        return MessageCall(to_request(body), is_stream=bool(body.stream))


class MessageCall:
    """A ClientCall for one message."""

    __slots__ = ("is_stream", "request")

    def __init__(self, request: ChatRequest, *, is_stream: bool) -> None:
        self.request = request
        self.is_stream = is_stream

    def reply(self, response: ChatResponse, facts: AnswerFacts) -> bytes:
        return message(with_carried(response), facts)

    def encoder(self, facts: AnswerFacts) -> CarryingEncoder:
        return CarryingEncoder(EventEncoder(facts))


async def count_tokens(request: ClientRequest, parts: PlaneParts) -> None:
    """`POST /v1/messages/count_tokens`: an estimate that follows what providers count; nobody is asked, it is free."""
    caller = await caller_of(request, parts.authenticator)
    asked = to_request(read_body(await request.body(), is_count=True))
    check_model(caller, asked.model)
    async with parts.admission(request, caller):
        question = parts.bridge.decide(asked, context_of(request, caller)).question
        counted = 0 if question is None else question.input_tokens
        await request.answer(msgspec.json.encode({"input_tokens": counted}), [JSON])
