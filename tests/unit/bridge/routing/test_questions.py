from datetime import UTC, date, datetime

from bridge.catalog.aliases import Aliases
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ImagePart, Message, RoutingOverrides, Tool
from bridge.config import BridgeConfig
from bridge.decision import RoutingQuestion
from bridge.routing.questions import Questions, RequestFacts

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def asked_of(request: ChatRequest, sections: dict[str, object], *, is_stream: bool = False) -> RoutingQuestion:
    config = BridgeConfig.parse(sections)
    catalog = ModelCatalog(config, today=date(2026, 11, 24))
    route = Aliases(config, catalog, Deployments(config)).resolve(request.model, request.routing)
    facts = RequestFacts("task", is_stream, False, request.max_output_tokens, NOW)
    return Questions(Prices(), config.defaults).ask(request, route, facts)


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
    assert (asked.offers[0].cost_usd(1000, 100) or 0) > 0


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
