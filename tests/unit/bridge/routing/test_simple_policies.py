import random
from collections import Counter

from bridge.chat import Policy
from bridge.decision import DeploymentState, GeoRule, Offer, Snapshot
from bridge.routing.policy import decide
from bridge.routing.ranking import scored
from bridge.routing.simple_policies import weighted
from tests.support.offers import offer, question, states


def order(policy: Policy, *offers: Offer, snapshot: Snapshot | None = None, seed: int = 1) -> list[str]:
    decision = decide(question(*offers, policy=policy), snapshot or Snapshot(), seed=seed)
    return [name.removeprefix("p/") for name in decision.attempts]


def test_priority_keeps_the_given_order() -> None:
    assert order("priority", offer("b"), offer("a")) == ["b", "a"]


def test_cheapest_goes_by_expected_cost_and_puts_unknown_prices_last() -> None:
    assert order("cheapest", offer("x"), offer("dear", cost_usd=2.0), offer("cheap", cost_usd=1.0)) == [
        "cheap", "dear", "x",
    ]  # fmt: skip


def test_a_free_model_is_cheaper_than_any_other() -> None:
    assert order("cheapest", offer("cheap", cost_usd=1e-9), offer("free", cost_usd=0.0))[0] == "free"


def test_equal_prices_are_shared_by_load() -> None:
    busy = states(a=DeploymentState(in_flight=9), b=DeploymentState(in_flight=0), c=DeploymentState(in_flight=4))
    offers = [offer(name, cost_usd=1.0) for name in "abc"]
    firsts = Counter(order("cheapest", *offers, snapshot=Snapshot(busy), seed=seed)[0] for seed in range(300))

    assert firsts["b"] > firsts["c"] > firsts["a"] == 0


def test_fastest_goes_by_first_token_and_tokens_to_come() -> None:
    measured = states(
        quick_start=DeploymentState(ttft_s=0.1, s_per_output_token=0.1),
        quick_end=DeploymentState(ttft_s=1.0, s_per_output_token=0.01),
    )

    assert order("fastest", offer("quick_start"), offer("quick_end"), snapshot=Snapshot(measured)) == [
        "quick_end", "quick_start",
    ]  # fmt: skip


def test_round_robin_starts_one_further_every_turn() -> None:
    offers = [offer(name) for name in "abc"]

    assert [order("round_robin", *offers, snapshot=Snapshot(turn=turn))[0] for turn in range(4)] == ["a", "b", "c", "a"]
    assert order("round_robin", *offers, snapshot=Snapshot(turn=1)) == ["b", "c", "a"]


def test_least_busy_counts_calls_in_flight_per_weight() -> None:
    busy = Snapshot(states(a=DeploymentState(in_flight=3), b=DeploymentState(in_flight=5)))

    assert order("least_busy", offer("a"), offer("b"), snapshot=busy) == ["a", "b"]
    assert order("least_busy", offer("a"), offer("b", weight=4.0), snapshot=busy) == ["b", "a"]


def test_weights_are_shares_of_traffic() -> None:
    offers = [offer("a", weight=1.0), offer("b", weight=3.0), offer("never", weight=0.0)]
    firsts = Counter(order("weighted", *offers, seed=seed)[0] for seed in range(2000))

    assert 0.70 < firsts["b"] / 2000 < 0.80
    assert firsts["never"] == 0
    assert order("weighted", *offers)[-1] == "never"


def test_all_weights_zero_draws_evenly() -> None:
    asked = question(offer("a", weight=0.0), offer("b", weight=0.0))
    offers = [scored(one, n, asked, Snapshot()) for n, one in enumerate(asked.offers)]
    ranking = weighted(offers, asked, Snapshot(), random.Random(1))

    assert ranking.first == {"p/a": 0.5, "p/b": 0.5}


def test_cheapest_counts_what_is_read_from_the_cache() -> None:
    prices = {"input_usd_per_mtok": 10.0, "output_usd_per_mtok": 10.0}
    offers = (offer("plain", **prices), offer("caching", **{**prices, "cache_read_usd_per_mtok": 1.0}))
    asked = question(*offers, policy="cheapest", input_tokens=10_000)
    decision = decide(asked, Snapshot(states(caching=DeploymentState(cached_share=0.8))), seed=1)

    assert decision.attempts[0] == "p/caching"
    assert decision.candidates[0].reason.endswith("expected for this request, 80% of its input cached")


def test_near_prices_share_the_calls_the_cheaper_one_the_more() -> None:
    offers = [
        offer("a", cost_usd=1.0),
        offer("b", cost_usd=1.08),
        offer("c", cost_usd=1.08),
        offer("far", cost_usd=2.0),
    ]
    asked = question(*offers, policy="cheapest")
    chances = {one.deployment: one.propensity or 0.0 for one in decide(asked, Snapshot(), seed=1).candidates}

    assert chances["p/a"] > chances["p/b"] > chances["p/c"] == 0.0
    assert chances["p/far"] == 0.0


def test_latency_shares_the_calls_among_those_about_as_quick() -> None:
    quick = DeploymentState(ttft_s=1.0, s_per_output_token=0.0)
    measured = states(a=quick, b=DeploymentState(ttft_s=1.2, s_per_output_token=0.0), slow=DeploymentState(ttft_s=3.0))
    offers = [offer("a"), offer("b"), offer("slow")]
    firsts = Counter(order("latency", *offers, snapshot=Snapshot(measured), seed=seed)[0] for seed in range(200))

    assert set(firsts) == {"a"}, "of two that are drawn the one that answers sooner goes first"
    busy = states(a=DeploymentState(ttft_s=1.0, s_per_output_token=0.0, in_flight=5), b=quick)
    assert order("latency", offer("a"), offer("b"), snapshot=Snapshot(busy))[0] == "b"


def test_latency_is_predicted_for_this_request() -> None:
    talks_fast = DeploymentState(ttft_s=2.0, s_per_output_token=0.001)
    starts_fast = DeploymentState(ttft_s=0.1, s_per_output_token=0.05)
    snapshot = Snapshot(states(a=talks_fast, b=starts_fast))

    def first(output_tokens: int) -> str:
        asked = question(offer("a"), offer("b"), policy="latency", output_tokens=output_tokens)
        return decide(asked, snapshot, seed=1).attempts[0]

    assert first(5) == "p/b"
    assert first(1000) == "p/a"


def test_geo_goes_to_the_nearest_and_puts_unknown_places_last() -> None:
    offers = (
        offer("nowhere"), offer("virginia", regions=("us-east-1",)), offer("frankfurt", regions=("eu-central-1",)),
        offer("both", regions=("us-west-2", "eu-west-1")),
    )  # fmt: skip
    decision = decide(question(*offers, policy="geo", geo=GeoRule("de")), Snapshot(), seed=1)

    assert decision.attempts == ("p/frankfurt", "p/both", "p/virginia", "p/nowhere")
    assert decision.candidates[0].reason == "serves from eu-central-1, about 0 km away"
    assert "unknown region, of unknown distance" in decision.candidates[3].reason


def test_geo_without_a_home_goes_as_listed_and_says_so() -> None:
    decision = decide(question(offer("b"), offer("a"), policy="geo"), Snapshot(), seed=1)

    assert decision.attempts == ("p/b", "p/a")
    assert decision.candidates[0].reason == "nobody said where the caller is"


def test_a_cascade_climbs_from_the_least_expensive() -> None:
    assert order("cascade", offer("x"), offer("dear", cost_usd=2.0), offer("cheap", cost_usd=1.0)) == [
        "cheap", "dear", "x",
    ]  # fmt: skip
