"""The benchmark of the ledger, small: a kill that nobody else can hit, and three books that agree."""

import pytest

from benchmarks.ledger import run

pytestmark = pytest.mark.peer


def test_two_hundred_calls_around_a_kill_between_answer_and_settlement_are_all_in_the_ledger_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run(["--calls", "200", "--kills", "answer", "--outage-s", "0"])
    said = capsys.readouterr().out

    assert code == 0, said
    assert "kill -9 between answer and settlement" in said
    assert "DIFFERS" not in said
    assert "calls answered 200 = their distinct ids in the ledger 200" in said
