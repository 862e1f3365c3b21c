from bridge.decision import DeploymentState, Snapshot
from bridge.routing.policy import decide
from tests.support.offers import offer, quality, question, states


def test_best_goes_by_the_lower_bound_of_quality() -> None:
    asked = question(offer("a"), offer("b"), offer("unknown"), policy="best")

    decision = decide(asked, Snapshot(quality=quality(a=0.6, b=0.9)), seed=1)

    assert decision.attempts == ("p/b", "p/a", "p/unknown")
    assert decision.candidates[0].reason == "quality at least 0.90 (prior)"


def test_balanced_takes_the_cheapest_that_is_nearly_as_good_as_the_best() -> None:
    asked = question(
        offer("best", cost_usd=1.0), offer("close", cost_usd=0.1), offer("poor", cost_usd=0.001),
        policy="balanced", epsilon=0.1,
    )  # fmt: skip

    decision = decide(asked, Snapshot(quality=quality(best=0.9, close=0.85, poor=0.5)), seed=1)

    assert decision.attempts == ("p/close", "p/best", "p/poor")
    assert "under the bound of 0.81" in decision.candidates[2].reason


def test_balanced_passes_over_what_is_too_slow() -> None:
    asked = question(offer("best", cost_usd=1.0), offer("slow", cost_usd=0.1), policy="balanced", latency_target_s=5.0)
    snapshot = Snapshot(states(slow=DeploymentState(latency_p95_s=9.0)), quality(best=0.9, slow=0.9))

    decision = decide(asked, snapshot, seed=1)

    assert decision.attempts == ("p/best", "p/slow")
    assert decision.candidates[1].reason == "p95 latency of 9.00 s misses the target of 5 s"


def test_balanced_still_answers_when_all_are_too_slow() -> None:
    asked = question(offer("a", cost_usd=1.0), offer("b", cost_usd=0.1), policy="balanced", latency_target_s=1.0)
    slow = DeploymentState(latency_p95_s=9.0)

    assert decide(asked, Snapshot(states(a=slow, b=slow), quality(a=0.9, b=0.9)), seed=1).attempts == ("p/b", "p/a")


def test_weights_let_other_terms_than_price_decide_and_the_score_is_recorded() -> None:
    asked = question(
        offer("cheap", cost_usd=0.1), offer("quick", cost_usd=0.11),
        policy="balanced", score_weights={"cost": 1.0, "latency": 3.0},
    )  # fmt: skip
    snapshot = Snapshot(
        states(
            cheap=DeploymentState(ttft_s=4.0, s_per_output_token=0.0),
            quick=DeploymentState(ttft_s=0.5, s_per_output_token=0.0),
        ),
        quality(cheap=0.9, quick=0.9),
    )

    decision = decide(asked, snapshot, seed=1)

    assert decision.attempts[0] == "p/quick"
    assert decision.candidates[0].score is not None
    assert decision.candidates[0].terms["cost_usd"] == 0.11


def test_without_any_known_quality_balanced_is_cheapest() -> None:
    asked = question(offer("a", cost_usd=1.0), offer("b", cost_usd=0.1), policy="balanced")

    assert decide(asked, Snapshot(), seed=1).attempts == ("p/b", "p/a")
