from collections.abc import Mapping, Sequence

import pytest

from bridge.errors import ConfigurationError
from bridge.simulation.contenders import contenders
from tests.support.scenarios import BRIDGE, scenario


def problems(*, events: Sequence[Mapping[str, object]] = (), **changes: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        contenders(scenario(events=events, **changes), where="storm.yaml")
    assert str(caught.value).startswith("storm.yaml: the scenario is invalid:")
    return caught.value.problems


def test_a_policy_is_laid_over_the_alias() -> None:
    best, cheapest = contenders(scenario(), ("best", "cheapest"))

    assert best.config.aliases["app"].policy == "best"
    assert cheapest.config.aliases["app"].policy == "cheapest"
    assert best.config.aliases["app"].candidates == ("near/a", "far/b")


def test_a_variant_changes_any_field_of_the_alias() -> None:
    changed = scenario(policies=["cached"], variants={"cached": {"policy": "best", "cache": "exact"}})

    alias = contenders(changed)[0].config.aliases["app"]
    assert (alias.policy, alias.cache) == ("best", "exact")


def test_the_baseline_asks_one_candidate_once() -> None:
    bridge = {**BRIDGE, "aliases": {"app": {"candidates": ["near/a", "far/b"], "weights": {"far/b": 3}}}}
    baseline = contenders(scenario(bridge=bridge), ("random",))[0]

    assert baseline.targets == (("near/a", 1.0), ("far/b", 3.0))
    assert baseline.config.retry.max_per_target == 1


def test_simulated_providers_need_no_key_and_no_address() -> None:
    bridge = {
        "providers": {"openai": {}, "anthropic": {"sites": {"eu": {"region": "eu"}}}},
        "aliases": {"app": {"candidates": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]}},
    }
    world = {"models": {"openai/gpt-4o-mini": {"quality": 0.8}, "anthropic/claude-haiku-4-5": {"quality": 0.9}}}

    config = contenders(scenario(bridge=bridge, world=world))[0].config
    assert config.providers["openai"].base_url == "http://openai.simulated/v1"
    assert config.providers["anthropic"].sites["eu"].base_url == "http://anthropic.simulated/v1"


def test_an_unknown_policy_has_a_hint() -> None:
    assert problems(policies=["balanccd"]) == (
        "policies: 'balanccd' is no policy and no variant; did you mean 'balanced'?",
    )


def test_a_model_the_world_does_not_have_is_told() -> None:
    found = problems(world={"models": {"near/a": {"quality": 0.5}}})

    assert found == ("world.models: 'far/b' may be called, and nothing is said of it",)


def test_an_event_at_an_unknown_place_has_a_hint() -> None:
    found = problems(events=[{"kind": "silent", "where": "neer", "at_h": 0}])

    assert found == ("world.events: 'neer' is neither a provider nor a model; did you mean 'near'?",)


def test_a_bound_names_a_policy_of_the_scenario() -> None:
    found = problems(expect=[{"policy": "best", "figure": "quality", "at_least": 0.9}])

    assert found == ("expect: 'best' is not one of the policies priority",)


def test_mistakes_in_the_bridges_sections_keep_their_path() -> None:
    bridge = {**BRIDGE, "retry": {"base": 1}}

    assert problems(bridge=bridge) == ("bridge: retry.base: unknown key; did you mean 'base_s'?",)


def test_the_alias_must_be_there() -> None:
    assert problems(alias="ap") == ("bridge: aliases: there is no 'ap', which `alias` names",)


def test_a_variant_may_not_be_called_like_a_policy() -> None:
    found = problems(policies=["semantic"], variants={"semantic": {"cache": "exact"}})

    assert found == ("variants: 'semantic' is the name of a policy already",)


def test_what_the_bridge_refuses_under_any_of_the_policies_is_told() -> None:
    found = problems(policies=["best", "wrong"], variants={"wrong": {"policy": "weighted", "weights": {"near/z": 1}}})

    assert found == ("bridge: aliases.app.weights: 'near/z' is not one of its candidates",)
