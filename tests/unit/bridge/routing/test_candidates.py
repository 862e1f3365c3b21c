import pytest

from bridge.decision import Constraints, DeploymentState, GeoRule, Offer, Snapshot
from bridge.routing.candidates import drop_of, health_reason
from tests.support.offers import offer, quality, question, states

NOTHING = Snapshot()


def reason(one: Offer, snapshot: Snapshot = NOTHING, **facts: object) -> str | None:
    drop = drop_of(one, question(one, **facts), snapshot)  # pyright: ignore[reportArgumentType]  # facts by name
    return None if drop is None else drop.reason


def test_an_offer_that_meets_everything_is_kept() -> None:
    assert reason(offer("a")) is None


@pytest.mark.parametrize(
    ("facts", "asked", "expected"),
    [
        ({"off_reason": "p is off: KEY is not set"}, {}, "p is off: KEY is not set"),
        ({}, {"needs": ("chat", "tools", "vision")}, "lacks tools, vision"),
        ({"context_window": 1000}, {"input_tokens": 4000}, "context window of 1000 tokens is too small for about 4000"),
        ({}, {"constraints": Constraints(context_window=9)}, "context window of unknown tokens, 9 asked for"),
        ({"regions": ("us",)}, {"constraints": Constraints(regions=("eu",))}, "serves from us, not from eu"),
        ({}, {"constraints": Constraints(regions=("eu",))}, "serves from an unknown region, not from eu"),
        ({"cost_usd": 0.25}, {"constraints": Constraints(max_cost_usd=0.125)},
         "$0.25 expected for this request is over the limit of $0.125"),
        ({}, {"constraints": Constraints(max_output_usd_per_mtok=3.0)},
         "its price is unknown, and at most $3 per million output tokens is allowed"),
        ({"input_usd_per_mtok": 5.0}, {"constraints": Constraints(max_input_usd_per_mtok=3.0)},
         "$5 per million input tokens is over the limit of $3"),
        ({}, {"constraints": Constraints(needs_known_price=True)}, "its price is unknown, and a budget applies"),
        ({}, {"constraints": Constraints(quality_floor=0.5)}, "its quality is unknown, and at least 0.5 is asked for"),
        ({"lacks": ("seed", "n")}, {"may_drop": ("n",)}, "cannot honour seed"),
        ({"tags": ("fast",)}, {"constraints": Constraints(tags=("fast", "gdpr"))}, "is not tagged gdpr"),
        ({}, {"constraints": Constraints(allowed_models=("p/b", "q/*"))}, "the caller may not use it"),
        ({"deprecated_on": "2026-01-01"}, {"constraints": Constraints(served_on="2026-11-24")},
         "deprecated since 2026-01-01"),
        ({"regions": ("eu-west-1", "us")}, {"geo": GeoRule("eu", is_strict=True)},
         "serves from eu-west-1, us, and the request must stay in eu"),
        ({}, {"geo": GeoRule("eu", is_strict=True)}, "serves from an unknown region, and the request must stay in eu"),
        ({"regions": ("eu",)}, {"geo": GeoRule(None, is_strict=True)},
         "nothing says where the request may be served, and it must not leave"),
    ],
)  # fmt: skip
def test_every_dropped_offer_says_why(facts: dict[str, object], asked: dict[str, object], expected: str) -> None:
    assert reason(offer("a", **facts), NOTHING, **asked) == expected


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ({"regions": ("eu-west-1",)}, {"constraints": Constraints(regions=("eu",))}),
        ({"regions": ("eu-west-1", "de")}, {"geo": GeoRule("eu", is_strict=True)}),
        ({"regions": ("us",)}, {"geo": GeoRule("eu")}),
        ({"lacks": ("seed",)}, {"may_drop": ("seed",)}),
        ({"deprecated_on": "2027-01-01"}, {"constraints": Constraints(served_on="2026-11-24")}),
        ({"deprecated_on": "2026-01-01"}, {}),
        ({}, {"constraints": Constraints(allowed_models=("p/*",))}),
        ({}, {"constraints": Constraints(allowed_models=("alias",))}),
    ],
)  # fmt: skip
def test_what_meets_a_constraint_is_kept(facts: dict[str, object], asked: dict[str, object]) -> None:
    assert reason(offer("a", **facts), NOTHING, **asked) is None


def test_a_token_estimate_that_may_be_too_high_does_not_drop() -> None:
    assert reason(offer("a", context_window=1000), input_tokens=1200) is None


def test_a_model_that_answers_less_than_the_limit_will_do() -> None:
    assert reason(offer("a", max_output_tokens=100, context_window=150), NOTHING, max_output_tokens=4096) is None


def test_measured_latency_and_quality_are_held_to_their_limits() -> None:
    slow, poor = Snapshot(states(a=DeploymentState(latency_p95_s=9.0))), Snapshot(quality=quality(a=0.4))

    assert reason(offer("a"), slow, constraints=Constraints(max_latency_s=5.0)) == (
        "p95 latency of 9.00 s is over the limit of 5 s"
    )
    assert reason(offer("a"), NOTHING, constraints=Constraints(max_latency_s=5.0)) is None
    assert reason(offer("a"), poor, constraints=Constraints(quality_floor=0.5)) == (
        "quality of at least 0.40 is under the floor of 0.5"
    )


def test_resting_deployments_say_how_long() -> None:
    def said(state: DeploymentState) -> str | None:
        return health_reason(offer("a", in_flight_limit=8), Snapshot(states(a=state)))

    assert said(DeploymentState()) is None
    assert said(DeploymentState(in_flight=7)) is None
    assert said(DeploymentState(in_flight=8)) == "8 calls in flight, as many as it takes"
    assert said(DeploymentState(wait_s=2.5)) == "rate limit reached, room in 2.5 s"
    assert said(DeploymentState(retry_at_s=2.0)) == "asked for a pause of 2.0 s more"
    assert "circuit open" in (said(DeploymentState(circuit="open", retry_at_s=4)) or "")
    assert "probe is under way" in (said(DeploymentState(circuit="half_open", retry_at_s=1)) or "")
