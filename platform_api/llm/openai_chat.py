"""Chat completions as OpenAI's clients speak them: a ChatDialect."""

from bridge.chat import ChatRequest, ChatResponse
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_chat_reply import ChunkEncoder, completion
from platform_api.llm.openai_chat_request import read_body, to_request
from platform_api.llm.openai_errors import OpenAIErrors


class OpenAIChat(OpenAIErrors):
    """`POST /v1/chat/completions`."""

    def read(self, raw: bytes) -> "ChatCompletionCall":
        body = read_body(raw)
        return ChatCompletionCall(to_request(body), is_stream=bool(body.stream), wants_usage=body.wants_usage)


class ChatCompletionCall:
    """A ClientCall for one chat completion."""

    __slots__ = ("_wants_usage", "is_stream", "request")

    def __init__(self, request: ChatRequest, *, is_stream: bool, wants_usage: bool) -> None:
        self.request = request
        self.is_stream = is_stream
        self._wants_usage = wants_usage

    def reply(self, response: ChatResponse, facts: AnswerFacts) -> bytes:
        return completion(response, facts)

    def encoder(self, facts: AnswerFacts) -> ChunkEncoder:
        return ChunkEncoder(facts, wants_usage=self._wants_usage)
