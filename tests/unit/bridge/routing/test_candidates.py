from datetime import UTC, date, datetime

import pytest

from bridge.catalog.aliases import Aliases
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ImagePart, Message, RoutingOverrides, Tool
from bridge.config import BridgeConfig
from bridge.decision import Constraints, DeploymentState, Offer, RoutingQuestion, Snapshot
from bridge.routing.candidates import RequestFacts, ask, drop_of, health_reason
from tests.support.offers import offer, quality, question, states

NOW = datetime(2026, 11, 24, tzinfo=UTC)
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
        ({"cost_usd": 0.2}, {"constraints": Constraints(max_cost_usd=0.1)},
         "$0.2 expected for this request is over the limit of $0.1"),
        ({}, {"constraints": Constraints(max_output_usd_per_mtok=3.0)},
         "its price is unknown, and at most $3 per million output tokens is allowed"),
        ({"input_usd_per_mtok": 5.0}, {"constraints": Constraints(max_input_usd_per_mtok=3.0)},
         "$5 per million input tokens is over the limit of $3"),
        ({}, {"constraints": Constraints(needs_known_price=True)}, "its price is unknown, and a budget applies"),
        ({}, {"constraints": Constraints(quality_floor=0.5)}, "its quality is unknown, and at least 0.5 is asked for"),
    ],
)  # fmt: skip
def test_every_dropped_offer_says_why(facts: dict[str, object], asked: dict[str, object], expected: str) -> None:
    assert reason(offer("a", **facts), NOTHING, **asked) == expected


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
        return health_reason(offer("a"), Snapshot(states(a=state)))

    assert said(DeploymentState()) is None
    assert said(DeploymentState(retry_at_s=2.0)) == "asked for a pause of 2.0 s more"
    assert "circuit open" in (said(DeploymentState(circuit="open", retry_at_s=4)) or "")
    assert "probe is under way" in (said(DeploymentState(circuit="half_open", retry_at_s=1)) or "")


def asked_of(request: ChatRequest, sections: dict[str, object], *, is_stream: bool = False) -> RoutingQuestion:
    config = BridgeConfig.parse(sections)
    catalog = ModelCatalog(config, today=date(2026, 11, 24))
    route = Aliases(config, catalog, Deployments(config)).resolve(request.model, request.routing)
    facts = RequestFacts("task", is_stream, False, request.max_output_tokens, NOW)
    return ask(request, route, facts, prices=Prices(), defaults=config.defaults)


SECTIONS: dict[str, object] = {
    "providers": {
        "openai": {"api_key": "k", "region": "us", "sites": {"eu": {"region": "eu"}}},
        "anthropic": {"api_key": "${env:ANTHROPIC_API_KEY}"},
    },
    "aliases": {
        "support": {
            "policy": "balanced",
            "candidates": ["openai/gpt-4o-mini", "anthropic/claude-haiku"],
            "fallback": ["openai/gpt-4o-mini", "openai/gpt-4o"],
            "regions": ["eu"],
            "max_latency_ms": 4000,
            "capabilities": ["json_schema"],
            "quality_floor": 0.3,
        }
    },
}


def test_a_question_has_an_offer_for_every_deployment_once_and_says_what_is_off() -> None:
    asked = asked_of(ChatRequest("support", (Message.of("user", "hi"),)), SECTIONS)

    assert [(one.deployment, one.is_fallback, one.off_reason) for one in asked.offers] == [
        ("openai/gpt-4o-mini", False, None),
        ("openai/gpt-4o-mini@eu", False, None),
        ("anthropic/claude-haiku-5-5", False, "anthropic is off: ANTHROPIC_API_KEY is not set"),
        ("openai/gpt-4o", True, None),
        ("openai/gpt-4o@eu", True, None),
    ]
    assert asked.offers[1].regions == ("eu",)
    assert (asked.offers[0].cost_usd or 0) > 0


def test_needs_and_constraints_come_from_request_and_alias() -> None:
    request = ChatRequest(
        "support",
        (Message("user", (ImagePart("https://x/y.png"),)),),
        tools=(Tool("search"),),
        routing=RoutingOverrides(policy="cheapest", regions=("us",), max_cost_usd=0.5, quality_floor=0.0),
    )
    asked = asked_of(request, SECTIONS, is_stream=True)

    assert asked.policy == "cheapest"
    assert asked.needs == ("chat", "json_schema", "stream", "tools", "vision")
    assert asked.constraints.regions == ("us",)
    assert asked.constraints.max_latency_s == 4.0
    assert asked.constraints.max_cost_usd == 0.5
    assert asked.constraints.quality_floor == 0.0


def test_a_request_may_name_its_own_candidates() -> None:
    request = ChatRequest(
        "support", (Message.of("user", "hi"),), routing=RoutingOverrides(candidates=("openai/gpt-4o",), fallback=())
    )

    assert asked_of(request, SECTIONS).offers[0].deployment == "openai/gpt-4o"
