"""What every dialect of the mock shares: pieces of an answer, words of a refusal."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus

from bridge.json_types import JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault, MockUsage

ABSURD_TOKENS = -7
MALFORMED = b'{"choices": [{"message": '
_STATUS = {"rate_limit": 429, "auth": 401, "content_filter": 400, "context_length": 400}
_WORDS = {
    "rate_limit": "rate limit reached",
    "auth": "invalid API key",
    "content_filter": "the request was refused by the content policy: content_policy_violation",
    "context_length": "this model's maximum context length is exceeded",
}


def pieces(text: str) -> Iterator[str]:
    """Words with the white space after them."""
    yield from re.findall(r"\S+\s*|\s+", text)


def status_of(fault: MockFault) -> int:
    """The HTTP status of a refusal."""
    return _STATUS.get(fault.kind, fault.status)


def words_of(fault: MockFault) -> str:
    """What a refusal says."""
    status = status_of(fault)
    return _WORDS.get(fault.kind) or (HTTPStatus(status).phrase if status in set(HTTPStatus) else "failure")


def refusal_headers(fault: MockFault) -> dict[str, str]:
    """Content type, and the pause a fault asks for."""
    headers = {"content-type": "application/json"}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    return headers


def counts_of(answer: Answer, fault: MockFault | None) -> MockUsage | None:
    """The usage to report; None when the fault withholds it."""
    kind = None if fault is None else fault.kind
    if kind == "no_usage":
        return None
    if kind == "absurd_usage":
        return answer.usage.model_copy(update={"input_tokens": ABSURD_TOKENS})
    return answer.usage


def is_malformed(fault: MockFault | None) -> bool:
    """Is a whole reply to be cut inside its JSON?"""
    return fault is not None and fault.kind in ("malformed", "broken_chunk")


def has_finish(fault: MockFault | None) -> bool:
    """Does the answer say that it has ended?"""
    return fault is None or fault.kind != "no_finish"


def has_end_mark(fault: MockFault | None) -> bool:
    """Does a stream say that nothing follows?"""
    return fault is None or fault.kind != "no_done"


def event_of(payload: JsonValue, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload)}\n\n".encode()


def decoded_arguments(arguments: str) -> JsonValue:
    """Arguments for a dialect that sends them as an object; what is no JSON is wrapped."""
    try:
        value: JsonValue = json.loads(arguments or "{}")
    except ValueError:
        return {"_raw": arguments}
    return value if isinstance(value, dict) else {"_raw": value}
