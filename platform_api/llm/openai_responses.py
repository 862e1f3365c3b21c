"""Responses as OpenAI's clients speak them: a ChatDialect."""

import msgspec

from bridge.chat import ChatRequest, ChatResponse
from platform_api.errors import Problem
from platform_api.llm.carried_signatures import CarryingEncoder, with_carried
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_errors import OpenAIErrors, code_of, error_object
from platform_api.llm.openai_responses_reply import response_body
from platform_api.llm.openai_responses_request import ResponsesBody, read_body, to_request
from platform_api.llm.openai_responses_stream import ResponseEncoder


class OpenAIResponses(OpenAIErrors):
    """`POST /v1/responses`."""

    def read(self, raw: bytes) -> "ResponseCall":
        body = read_body(raw)
        return ResponseCall(to_request(body), body)

    def error_event(self, problem: Problem) -> bytes:
        """An `error` event; the SDKs raise for its `error` object."""
        said = {"type": "error", "code": code_of(problem), "message": problem.detail, "param": None}
        event = {**said, "sequence_number": 0, "error": error_object(problem, None)}
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


class ResponseCall:
    """A ClientCall for one response."""

    __slots__ = ("_asked", "request")

    def __init__(self, request: ChatRequest, asked: ResponsesBody) -> None:
        self.request = request
        self._asked = asked

    @property
    def is_stream(self) -> bool:
        return bool(self._asked.stream)

    def reply(self, response: ChatResponse, facts: AnswerFacts) -> bytes:
        return response_body(with_carried(response), facts, self._asked)

    def encoder(self, facts: AnswerFacts) -> CarryingEncoder:
        return CarryingEncoder(ResponseEncoder(facts, self._asked))
