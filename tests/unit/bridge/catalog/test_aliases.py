from datetime import date

import pytest

from bridge.catalog.aliases import Aliases
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.chat import RoutingOverrides
from bridge.config import BridgeConfig
from bridge.errors import ConfigurationError, UnknownModelError

PROVIDERS = {"openai": {"api_key": "sk"}, "local": {}, "mock": {}}


def aliases(**custom: object) -> Aliases:
    config = BridgeConfig.parse({"providers": PROVIDERS, "aliases": custom})
    return Aliases(config, ModelCatalog(config, today=date(2026, 11, 24)), Deployments(config))


def test_a_model_is_a_route_to_its_own_deployments() -> None:
    route = aliases().resolve("openai/gpt-4o-mini")

    assert route.alias is None
    assert list(route.deployments()) == ["openai/gpt-4o-mini"]


def test_an_alias_inside_an_alias_is_unfolded_once() -> None:
    route = aliases(
        small={"candidates": ["openai/gpt-4o-mini", "local/smollm2"]},
        all={"candidates": ["small", "openai/gpt-4o", "local/smollm2"], "fallback": ["mock/x"]},
    ).resolve("all")

    assert [option.entry.name for option in route.candidates] == [
        "openai/gpt-4o-mini", "local/smollm2", "openai/gpt-4o",
    ]  # fmt: skip
    assert [option.entry.name for option in route.fallback] == ["mock/x"]


def test_a_built_in_alias_may_be_redefined() -> None:
    route = aliases(best={"policy": "priority", "candidates": ["local/smollm2"]}).resolve("best")

    assert route.policy == "priority"
    assert list(route.deployments()) == ["local/smollm2"]


def test_aliases_that_name_each_other_are_refused_with_the_circle() -> None:
    with pytest.raises(ConfigurationError, match="a -> b -> a"):
        aliases(a={"candidates": ["b"]}, b={"candidates": ["local/smollm2"], "fallback": ["a"]})


def test_all_unknown_names_are_reported_at_once_with_what_was_meant() -> None:
    with pytest.raises(ConfigurationError) as caught:
        aliases(
            a={"candidates": ["openai/gpt-4o-mni"], "fallback": ["chepest"], "weights": {"x": 1}},
            **{"with/slash": {"candidates": ["local/smollm2"]}},
        )

    assert caught.value.problems == (
        "aliases.a.candidates: unknown model or alias 'openai/gpt-4o-mni'; did you mean 'openai/gpt-4o-mini'?",
        "aliases.a.fallback: unknown model or alias 'chepest'; did you mean 'cheapest'?",
        "aliases.a.weights: 'x' is not one of its candidates",
        "aliases.with/slash: an alias has no slash; that is how models are told from aliases",
    )


def test_a_candidate_whose_provider_is_not_configured_is_kept_with_the_way_to_switch_it_on() -> None:
    (option,) = aliases(a={"candidates": ["anthropic/claude-haiku"]}).resolve("a").candidates

    assert option.deployments == ()
    assert option.off_reason == "anthropic is off: not configured under `providers`; set ANTHROPIC_API_KEY"


def test_a_request_may_replace_candidates_and_policy() -> None:
    overrides = RoutingOverrides(policy="cheapest", candidates=("mock/a", "mock/b"), fallback=("local/smollm2",))
    route = aliases().resolve("best", overrides)

    assert route.policy == "cheapest"
    assert list(route.deployments()) == ["mock/a", "mock/b", "local/smollm2"]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'fastest'"):
        aliases().resolve("fastst")


def test_views_show_built_in_aliases_first() -> None:
    views = aliases(support={"candidates": ["local/smollm2"]}).views()

    assert [view.name for view in views] == ["fastest", "cheapest", "best", "balanced", "support"]
    assert [view.is_built_in for view in views] == [True, True, True, True, False]
    assert views[-1].candidates == ("local/smollm2",)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"policy": "semantic"}, "intents: the policy `semantic` needs at least one"),
        ({"policy": "experiment"}, "experiment: the policy `experiment` needs its arms"),
        ({"experiment": {"name": "t", "arms": {"mock/a": 0, "mock/b": 0}}},
         "experiment.arms: give at least one a share above 0"),
        ({"experiment": {"name": "t", "arms": {"mock/a": 1, "mock/x": 1}}},
         "experiment.arms: 'mock/x' is not one of its candidates"),
        ({"geo": {"home": "atlantis"}},
         "geo.home: 'atlantis' is no region, country or area that is known (`eu-west-1`, `de`, `eu`)"),
        ({"ramp": {"to": {"mock/a": 1}, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T10:00:00Z"}},
         "ramp.ends_at: must be later than starts_at"),
        ({"ramp": {"to": {"mock/x": 1}, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-25T10:00:00Z"}},
         "ramp.to: 'mock/x' is not one of its candidates"),
        ({"intents": {"code": {"examples": ["fix"], "candidates": ["mock/x"]}}},
         "intents.code.candidates: 'mock/x' is not one of its candidates"),
    ],
)  # fmt: skip
def test_what_a_policy_needs_is_asked_for_with_the_configuration(rules: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        aliases(x={"candidates": ["mock/a", "mock/b"], **rules})

    assert caught.value.problems == (f"aliases.x.{problem}",)


def test_a_name_has_one_route_and_a_list_of_candidates_one_list_of_options() -> None:
    known = aliases(x={"candidates": ["mock/a"]})
    asked = RoutingOverrides(candidates=("mock/b",))

    assert known.resolve("x") is known.resolve("x")
    assert known.resolve("x", asked).candidates is known.resolve("x", asked).candidates
