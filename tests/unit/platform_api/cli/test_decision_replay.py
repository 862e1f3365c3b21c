import json
from dataclasses import replace
from pathlib import Path

from bridge.decision import Decision, Snapshot
from bridge.routing.policy import decide
from platform_api.cli.decision_replay import Replayed, difference, replayed
from tests.support.offers import POLICIES, offer, question


def decisions() -> list[Decision]:
    offers = [offer(name, cost_usd=0.1) for name in "abc"]
    return [decide(question(*offers, policy=policy), Snapshot(), seed=7, decision_id=policy) for policy in POLICIES]


def logged(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_a_logged_decision_of_every_policy_comes_out_the_same(tmp_path: Path) -> None:
    found = list(replayed(logged(tmp_path, *(one.to_json() for one in decisions()))))

    assert [one.decision_id for one in found] == list(POLICIES)
    assert all(one.problem is None for one in found)


def test_a_call_may_stand_for_its_decision_and_one_from_the_cache_has_none(tmp_path: Path) -> None:
    path = logged(
        tmp_path, {"call_id": "1", "decision": decisions()[0].to_json()}, "", {"call_id": "2", "decision": None}
    )

    assert list(replayed(path)) == [Replayed(1, "fastest", None)]


def test_another_plan_is_told_with_what_was_and_what_is(tmp_path: Path) -> None:
    one = decisions()[4]
    turned = replace(one, attempts=tuple(reversed(one.attempts)))

    (found,) = replayed(logged(tmp_path, turned.to_json()))

    assert found.problem == "order was p/c, p/b, p/a, is p/a, p/b, p/c"


def test_the_first_difference_of_a_candidate_is_named() -> None:
    one = decisions()[4]
    stored = one.to_json()
    stored["candidates"][0]["propensity"] = 0.25  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]  # JSON of our own making

    assert difference(Decision.from_json(stored), one) == "p/a: propensity was 0.25, is 1.0"


def test_a_line_that_is_no_decision_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    bare = replace(decisions()[0], question=None)
    found = list(replayed(logged(tmp_path, "{broken", {"id": 1}, bare.to_json(), decisions()[0].to_json())))

    assert [one.line for one in found] == [1, 2, 3, 4]
    assert [one.problem is None for one in found] == [False, False, False, True]
    assert "holds no question" in (found[2].problem or "")
