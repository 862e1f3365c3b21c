from typing import Any

from benchmarks.ledger_books import Verdict, compare_attempts, compare_calls, compare_costs
from benchmarks.ledger_client import Seen
from benchmarks.ledger_upstream import bill_nano_usd, usage_of
from platform_api.usage.open_calls import CUT_OFF

ANSWERED = {"m1": "c1", "m2": "c2"}


def seen() -> Seen:
    return Seen(answered=dict(ANSWERED), broken={"m3": 0, "m4": 0})


def call(mark: str, *, is_lost: bool = False) -> dict[str, Any]:
    return {"id": f"c{mark[1:]}", "request_id": mark, "error_message": CUT_OFF if is_lost else None}


def attempt(mark: str, **changed: Any) -> dict[str, Any]:
    given, produced = usage_of(mark)
    row = {"attempt_id": f"a{mark}", "request_id": mark, "input_tokens": given, "output_tokens": produced}
    priced = {"cost_nano_usd": bill_nano_usd(mark), "is_estimated": False, "is_bare": False, "corrects": None}
    return {**row, **priced, "outcome": "succeeded", "price_row": None, "price_data_version": None, **changed}


def lost(mark: str) -> dict[str, Any]:
    return attempt(mark, is_estimated=True, is_bare=True, outcome="failed")


def calls_differ(calls: list[dict[str, Any]]) -> bool:
    verdict = Verdict()
    compare_calls(verdict, calls, seen())
    return bool(verdict.problems)


def attempts_differ(attempts: list[dict[str, Any]], asked: dict[str, int]) -> bool:
    verdict = Verdict()
    compare_attempts(verdict, attempts, asked)
    return bool(verdict.problems)


def test_calls_agree_when_answered_ones_are_there_and_others_broke_off() -> None:
    assert not calls_differ([call("m1"), call("m2"), call("m3", is_lost=True)])


def test_an_answered_call_that_is_missing_estimated_or_there_twice_is_found() -> None:
    assert calls_differ([call("m1")])
    assert calls_differ([call("m1"), call("m2", is_lost=True)])
    assert calls_differ([call("m1"), call("m2"), {**call("m2"), "id": "c9"}])
    assert calls_differ([call("m1"), {**call("m2"), "id": "c9"}])


def test_a_call_that_no_client_made_is_found() -> None:
    assert calls_differ([call("m1"), call("m2"), call("m9", is_lost=True)])


def test_attempts_agree_also_when_a_kill_kept_one_from_leaving() -> None:
    made = [attempt("m1"), attempt("m2"), lost("m3"), lost("m4")]
    assert not attempts_differ(made, {"m1": 1, "m2": 1, "m3": 1})


def test_an_attempt_that_only_one_side_knows_of_is_found() -> None:
    assert attempts_differ([attempt("m1")], {"m1": 1, "m2": 1})
    assert attempts_differ([attempt("m1"), attempt("m2")], {"m1": 1})
    assert attempts_differ([attempt("m1"), lost("m1")], {"m1": 3})


def test_an_attempt_that_is_counted_twice_is_found_and_a_correction_is_no_attempt() -> None:
    correction = lost("m3") | {"attempt_id": "k", "corrects": "am3"}
    assert attempts_differ([attempt("m1"), attempt("m1")], {"m1": 2})
    assert not attempts_differ([lost("m3"), correction], {"m3": 1})


def test_a_cost_that_is_not_what_the_upstream_billed_is_found() -> None:
    right, wrong = Verdict(), Verdict()
    compare_costs(right, [attempt("m1"), attempt("m2")], seen())
    compare_costs(wrong, [attempt("m1"), attempt("m2", cost_nano_usd=1)], seen())

    assert not right.problems
    assert wrong.problems
