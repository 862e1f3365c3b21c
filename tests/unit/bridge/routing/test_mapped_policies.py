from collections import Counter

import pytest

from bridge.decision import DeploymentState, Experiment, Intent, RoutingQuestion, Snapshot
from bridge.routing.policy import decide
from tests.support.offers import offer, question, states

INTENTS = (Intent("code", ("p/coder", "p/large"), 0.4), Intent("chat", ("p/small",), 0.3))


def semantic(**similarity: float) -> tuple[tuple[str, ...], list[str]]:
    asked = question(offer("small"), offer("large"), offer("coder"), policy="semantic", intents=INTENTS)
    decision = decide(asked, Snapshot(similarity=similarity), seed=1)
    return decision.attempts, [one.reason for one in decision.candidates]


def test_the_nearest_intents_candidates_go_first_in_its_order() -> None:
    attempts, reasons = semantic(code=0.71, chat=0.5)

    assert attempts == ("p/coder", "p/large", "p/small")
    assert reasons[0] == "answers intent code (similarity 0.71)"
    assert reasons[2] == "not named for intent code (similarity 0.71)"


def test_below_the_threshold_the_alias_keeps_its_order() -> None:
    attempts, reasons = semantic(code=0.39, chat=0.1)

    assert attempts == ("p/small", "p/large", "p/coder")
    assert set(reasons) == {"as listed: no intent is near enough (code at 0.39, 0.40 needed)"}


def test_each_intent_has_its_own_threshold() -> None:
    assert semantic(code=0.38, chat=0.31)[0][0] == "p/small"


def test_a_prompt_without_words_says_that_it_was_not_compared() -> None:
    assert "was not compared" in semantic()[1][0]


def trial(unit: str | None, **facts: object) -> RoutingQuestion:
    arms = {"p/a": 0.25, "p/b": 0.75}
    offers = (offer("other"), offer("a"), offer("b"))
    return question(*offers, policy="experiment", experiment=Experiment("trial", arms, unit), **facts)


def test_a_unit_stays_in_its_arm_and_the_decision_names_it() -> None:
    decisions = [decide(trial("ada"), Snapshot(), seed=seed) for seed in range(30)]

    assert len({one.arm for one in decisions}) == 1
    assert all(one.attempts[0] == one.arm for one in decisions)


def test_over_all_units_each_arm_has_its_propensity() -> None:
    decisions = [decide(trial(f"user-{number}"), Snapshot(), seed=1) for number in range(2000)]
    firsts = Counter(one.attempts[0] for one in decisions)
    claimed = {one.deployment: one.propensity for one in decisions[0].candidates}

    assert claimed == {"p/a": 0.25, "p/b": 0.75, "p/other": 0.0}
    assert firsts["p/a"] / 2000 == pytest.approx(0.25, abs=0.03)
    assert firsts["p/other"] == 0


def test_every_request_is_its_own_unit_when_none_is_named() -> None:
    firsts = Counter(decide(trial(None), Snapshot(), seed=seed).attempts[0] for seed in range(2000))

    assert firsts["p/b"] / 2000 == pytest.approx(0.75, abs=0.03)


def test_a_unit_whose_arm_is_down_is_served_by_another_and_stays_assigned() -> None:
    down = Snapshot(states(a=DeploymentState(circuit="open", retry_at_s=9)))
    of_a = next(f"user-{n}" for n in range(99) if decide(trial(f"user-{n}"), Snapshot(), seed=1).arm == "p/a")
    decision = decide(trial(of_a), down, seed=1)

    assert decision.arm == "p/a"
    assert decision.attempts[0] == "p/other"
    assert sum(one.propensity or 0 for one in decision.candidates) == pytest.approx(1.0)


def test_an_alias_without_an_experiment_goes_as_listed() -> None:
    assert decide(question(offer("a"), offer("b"), policy="experiment"), Snapshot(), seed=1).attempts == ("p/a", "p/b")
