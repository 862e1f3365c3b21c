import json
from typing import Any

import pytest

from bridge.chat import ToolCall
from bridge.errors import ContentFilterError, ContextLengthError, CredentialError, RateLimitedError, UnavailableError
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault, MockUsage
from bridge.providers.mock_wire import events_of, refusal_of, whole_body_of
from bridge.providers.openai_chat import OpenAiChat
from bridge.providers.rejections import to_error
from bridge.streaming import EventDecoder, fold
from tests.support.wire import deployment

TARGET = deployment()
ANSWER = Answer(
    model="m",
    text="two words",
    reasoning="let me see",
    usage=MockUsage(input_tokens=3, output_tokens=4, cached_tokens=1, reasoning_tokens=2),
    tool_calls=(("add", '{"x": 1}'), ("sub", "{}")),
    finish_reason="tool_calls",
    id="mock-1",
)


def test_whole_and_streamed_answers_say_the_same() -> None:
    decoder, reader = EventDecoder(), OpenAiChat().reader(TARGET)
    events = [event for piece in events_of(ANSWER, None) for event in decoder.feed(piece)]
    streamed = fold(chunk for event in events for chunk in reader.read(event))
    whole = OpenAiChat().parse(json.loads(whole_body_of(ANSWER, None)), TARGET)

    assert streamed == whole
    assert whole.tool_calls == (ToolCall("call_1_0", "add", '{"x": 1}'), ToolCall("call_1_1", "sub", "{}"))
    assert whole.usage is not None
    assert whole.usage.reasoning_tokens == 2
    assert reader.is_done


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "rate_limit", "retry_after_s": 2}, RateLimitedError),
        ({"kind": "status", "status": 503}, UnavailableError),
        ({"kind": "status", "status": 529}, UnavailableError),
        ({"kind": "auth"}, CredentialError),
        ({"kind": "content_filter"}, ContentFilterError),
        ({"kind": "context_length"}, ContextLengthError),
    ],
)
def test_refusals_are_read_as_what_they_are(fault: dict[str, Any], kind: type[Exception]) -> None:
    reply = refusal_of(MockFault.model_validate(fault))
    error = to_error(reply.status, reply.headers, reply.body, TARGET)

    assert type(error) is kind
    assert error.retry_after_s == fault.get("retry_after_s")


def test_faults_leave_out_what_they_are_named_for() -> None:
    def body(kind: str) -> bytes:
        return b"".join(events_of(ANSWER, MockFault.model_validate({"kind": kind})))

    assert b"[DONE]" not in body("no_done")
    assert b'"tool_calls"}' not in body("no_finish")
    assert b"usage" not in body("no_usage")
    assert b'"prompt_tokens": -7' in body("absurd_usage")
