from datetime import UTC, datetime

from bridge.call_log import CallLog
from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.clock import FrozenClock
from bridge.errors import NoRouteError


def log() -> tuple[CallLog, FrozenClock]:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    return CallLog("c", ChatRequest("m", ()), CallContext("o"), is_stream=True, clock=clock), clock


def test_a_call_has_one_record_however_often_it_is_closed() -> None:
    one, clock = log()
    clock.advance(2)
    first = one.close("failed", (), NoRouteError("nowhere to go"))

    assert one.close("succeeded", ()) is first
    assert (first.status, first.error_class, first.error_message) == ("failed", "unavailable", "nowhere to go")
    assert (first.finished_at - first.started_at).total_seconds() == 2


def test_the_text_of_a_foreign_error_is_not_recorded() -> None:
    record = log()[0].close("failed", (), ValueError("a prompt might stand here"))

    assert (record.error_class, record.error_message) == ("internal", "internal error: ValueError")


def test_a_cancelled_call_has_no_error() -> None:
    record = log()[0].close("cancelled", (), KeyboardInterrupt())

    assert record.error_class is None
