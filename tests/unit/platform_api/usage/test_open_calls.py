from dataclasses import replace
from pathlib import Path

import msgspec

from bridge.call_record import AttemptRecord, CallContext, Dispatch
from platform_api.usage.call_rows import call_record, ledger_record, spent_call
from platform_api.usage.call_store import PendingCall
from platform_api.usage.journal_frames import StoredCall, StoredSettlement
from platform_api.usage.open_calls import CUT_OFF, OpenCalls, ended_calls, is_lost
from tests.support.money import NOW, made_call

ORG, CALL = "0193b3a0-0000-7000-8000-000000000001", "0193b3a0-0000-7000-8000-000000000002"
FIRST, SECOND = "0193b3a0-0000-7000-8000-00000000000a", "0193b3a0-0000-7000-8000-00000000000b"
ONE, TWO = Path("00000001.log"), Path("00000002.log")


def sent(attempt_id: str, worst_case_nano_usd: int | None = 900) -> Dispatch:
    return Dispatch(
        attempt_id=attempt_id,
        call_id=CALL,
        context=CallContext(org_id=ORG, request_id="req-7", flow="f", task="t"),
        requested="balanced",
        alias="balanced",
        is_stream=True,
        call_started_at=NOW,
        deployment="acme/m@eu",
        provider="acme",
        model="acme/m",
        at=NOW,
        worst_case_nano_usd=worst_case_nano_usd,
        leases=(),
    )


def ended(attempt_id: str, cost_nano_usd: int) -> AttemptRecord:
    return replace(made_call(ORG, cost_nano_usd=cost_nano_usd).attempts[0], attempt_id=attempt_id)


def recorded() -> StoredCall:
    return msgspec.json.decode(msgspec.json.encode(made_call(ORG, call_id=CALL)), type=StoredCall)


def test_a_call_with_a_record_is_not_open_and_keeps_no_segment() -> None:
    calls = OpenCalls()
    calls.read(sent(FIRST), ONE)
    calls.read(recorded(), TWO)

    assert len(calls) == 0
    assert calls.segments == set()
    assert calls.cut_off() == []


def test_every_segment_that_tells_of_an_open_call_is_kept() -> None:
    calls = OpenCalls()
    calls.read(sent(FIRST), ONE)
    calls.read(StoredSettlement(CALL, ended(FIRST, 5)), TWO)

    assert calls.segments == {ONE, TWO}


def test_a_cut_off_call_costs_its_known_ends_and_the_worst_case_of_the_rest() -> None:
    calls = OpenCalls()
    for _ in range(2):  # read twice, as after a failed transaction
        calls.read(sent(FIRST), ONE)
        calls.read(StoredSettlement(CALL, ended(FIRST, 40)), ONE)
        calls.read(sent(SECOND), ONE)
    (lost,) = calls.cut_off()

    assert [(one.attempt_id, one.cost_nano_usd, is_lost(one)) for one in lost.attempts] == [
        (FIRST, 40, False),
        (SECOND, 900, True),
    ]
    assert spent_call(lost).cost_nano_usd == 940
    assert (lost.status, lost.error_message) == ("failed", CUT_OFF)


def test_the_row_of_a_cut_off_call_says_on_whose_behalf_it_was_and_who_was_asked() -> None:
    calls = OpenCalls()
    calls.read(sent(FIRST), ONE)
    (lost,) = calls.cut_off()
    row, attempt = call_record(lost), ledger_record(lost, 0, lost.attempts[0])

    assert (row["request_id"], row["flow"], row["task"], row["is_stream"]) == ("req-7", "f", "t", True)
    assert (attempt["deployment"], attempt["is_estimated"], attempt["usage"]) == ("acme/m@eu", True, None)
    assert PendingCall.of(lost).is_cut_off


def test_an_attempt_of_unknown_price_has_an_unknown_worst_case_and_never_zero() -> None:
    calls = OpenCalls()
    calls.read(sent(FIRST, None), ONE)
    (lost,) = calls.cut_off()

    assert ledger_record(lost, 0, lost.attempts[0])["cost_nano_usd"] is None


def test_an_end_whose_beginning_cannot_be_read_names_no_call() -> None:
    calls = OpenCalls()
    calls.read(StoredSettlement(CALL, ended(FIRST, 5)), ONE)

    assert calls.cut_off() == []


def test_of_two_records_of_a_call_in_one_batch_one_is_stored() -> None:
    found = ended_calls([recorded(), sent(FIRST), recorded()])

    assert [call.call_id for call in found] == [CALL]
