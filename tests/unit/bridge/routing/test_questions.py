from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import AudioPart, ChatRequest, ContentPart, DocumentPart, ImagePart, Message, RoutingOverrides, Tool
from bridge.config import BridgeConfig
from bridge.decision import Constraints, Experiment, GeoRule, Intent, RoutingQuestion
from bridge.routing.questions import Questions, RequestFacts, is_plain

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def resolved(request: ChatRequest, sections: dict[str, object]) -> tuple[Questions, Route]:
    config = BridgeConfig.parse(sections)
    catalog = ModelCatalog(config, today=date(2026, 11, 24))
    route = Aliases(config, catalog, Deployments(config)).resolve(request.model, request.routing)
    return Questions(Prices(), config.defaults), route


def asked_of(
    request: ChatRequest, sections: dict[str, object], *, is_stream: bool = False, **facts: object
) -> RoutingQuestion:
    questions, route = resolved(request, sections)
    known = RequestFacts("task", is_stream, False, request.max_output_tokens, NOW)
    return questions.ask(request, route, replace(known, **facts))  # pyright: ignore[reportArgumentType]  # facts by name


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


PLAIN = ChatRequest("x", (Message.of("user", "hello"),))


def alias(**rules: object) -> dict[str, object]:
    candidates = ["openai/gpt-4o-mini", "perplexity/sonar", "google/gemini-2.5-pro"]
    keys = {name: {"api_key": "k"} for name in ("openai", "perplexity", "google")}
    return {"providers": keys, "aliases": {"x": {"candidates": candidates, **rules}}}


@pytest.mark.parametrize(
    ("part", "need"),
    [
        (ImagePart("https://x/y.png"), "vision"),
        (DocumentPart("https://x/y.pdf"), "documents"),
        (AudioPart("UklGRg==", "wav"), "audio"),
    ],
)  # fmt: skip
def test_what_a_message_holds_must_be_understood(part: ContentPart, need: str) -> None:
    assert need in asked_of(replace(PLAIN, messages=(Message("user", (part,)),)), alias()).needs


def test_reasoning_is_needed_of_an_aliass_candidates_unless_it_may_be_dropped() -> None:
    thinking = replace(PLAIN, reasoning_effort="high")

    assert "reasoning" in asked_of(thinking, alias()).needs
    assert "reasoning" not in asked_of(replace(thinking, reasoning_effort="none"), alias()).needs
    assert "reasoning" not in asked_of(thinking, alias(may_drop=["reasoning_effort"])).needs
    assert "reasoning" not in asked_of(replace(thinking, model="openai/gpt-4o-mini"), alias()).needs


def test_features_that_a_dialect_lacks_are_named_for_this_request_alone() -> None:
    questions, route = resolved(PLAIN, alias())
    facts = RequestFacts("task", False, False, None, NOW)

    def lacks(request: ChatRequest) -> dict[str, tuple[str, ...]]:
        return {one.model: one.lacks for one in questions.ask(request, route, facts).offers if one.lacks}

    assert lacks(replace(PLAIN, seed=1)) == {"perplexity/sonar": ("seed",)}
    assert lacks(PLAIN) == {}


def test_a_long_prompt_has_its_own_price_and_the_next_short_one_its_own_again() -> None:
    questions, route = resolved(PLAIN, alias())
    facts = RequestFacts("task", False, False, None, NOW)

    def price(words: int) -> float | None:
        asked = questions.ask(replace(PLAIN, messages=(Message.of("user", "word " * words),)), route, facts)
        return asked.offers[2].input_usd_per_mtok

    short = price(10)
    assert (price(300_000) or 0) > (short or 0) > 0
    assert price(10) == short


def test_a_routes_offers_are_worked_out_once_a_minute() -> None:
    questions, route = resolved(PLAIN, alias())

    def offers(seconds: float) -> object:
        facts = RequestFacts("task", False, False, None, NOW + timedelta(seconds=seconds))
        return questions.ask(PLAIN, route, facts).offers

    assert offers(0) is offers(59)
    assert offers(60) is not offers(0)


def test_the_expected_length_is_what_was_seen_within_the_limit_that_is_sent() -> None:
    assert asked_of(PLAIN, alias()).output_tokens == 300
    assert asked_of(PLAIN, alias(), expected_output_tokens=40).output_tokens == 40
    assert asked_of(PLAIN, alias(), expected_output_tokens=40, max_output_tokens=16).output_tokens == 16


def test_residency_follows_the_request_else_the_alias() -> None:
    strict = alias(geo={"home": "eu", "is_strict": True})
    near = replace(PLAIN, routing=RoutingOverrides(near="us-east-1"))

    assert asked_of(PLAIN, strict).geo == GeoRule("eu", is_strict=True)
    assert asked_of(near, strict).geo == GeoRule("us-east-1", is_strict=True)
    assert asked_of(near, alias()).geo == GeoRule("us-east-1")
    assert asked_of(PLAIN, alias()).geo is None


def test_intents_and_arms_are_asked_about_under_their_policies() -> None:
    intents = {"code": {"examples": ["fix this"], "candidates": ["openai/gpt-4o-mini"], "threshold": 0.4}}
    trial = {"name": "trial", "arms": {"openai/gpt-4o-mini": 1, "perplexity/sonar": 3}}
    both = alias(policy="semantic", intents=intents, experiment=trial)

    assert asked_of(PLAIN, both).intents == (Intent("code", ("openai/gpt-4o-mini",), 0.4),)
    assert asked_of(PLAIN, both).experiment is None
    as_trial = asked_of(replace(PLAIN, routing=RoutingOverrides(policy="experiment")), both, unit="ada")
    assert as_trial.experiment == Experiment("trial", {"openai/gpt-4o-mini": 1, "perplexity/sonar": 3}, "ada")
    assert as_trial.intents == ()


def test_tags_allowed_models_and_the_day_are_constraints() -> None:
    found = asked_of(PLAIN, alias(tags=["gdpr"]), allowed_models=("openai/*",)).constraints

    assert found == Constraints(tags=("gdpr",), allowed_models=("openai/*",), served_on="2026-11-24")
    assert asked_of(replace(PLAIN, model="openai/gpt-4o"), alias()).constraints.served_on is None


def test_an_offer_remembers_which_candidate_it_came_from() -> None:
    sections = alias()
    sections["aliases"] = {
        "x": {"candidates": ["small", "google/gemini-2.5-pro"]},
        "small": {"candidates": ["openai/gpt-4o-mini"]},
    }
    found = {one.model: one.listed_as for one in asked_of(PLAIN, sections).offers}

    assert found == {"openai/gpt-4o-mini": "small", "google/gemini-2.5-pro": "google/gemini-2.5-pro"}


def test_plain_is_what_every_dialect_can_express() -> None:
    assert is_plain(replace(PLAIN, max_output_tokens=5))
    assert not is_plain(replace(PLAIN, temperature=0.0))
    assert not is_plain(replace(PLAIN, tools=(Tool("search"),)))
    assert not is_plain(replace(PLAIN, messages=(Message("user", (ImagePart("https://x/y.png"),)),)))
