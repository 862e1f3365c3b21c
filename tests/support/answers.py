"""Answers as the bridge gives them, without a bridge."""

from datetime import UTC, datetime

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatResponse
from bridge.result import ChatResult

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def result_of(response: ChatResponse) -> ChatResult:
    """An answered call without attempts, so at no cost."""
    record = CallRecord("1", CallContext(org_id="o"), "m", None, None, (), "succeeded", "off", True, NOW, NOW)
    return ChatResult(response, None, record)
