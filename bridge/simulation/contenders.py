"""The policies that a scenario compares: each as a configuration of a real bridge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from pydantic import JsonValue

from bridge.catalog.aliases import AliasView
from bridge.config import BridgeConfig, Policy
from bridge.config_problems import nearest
from bridge.errors import ConfigurationError
from bridge.gateway import Bridge
from bridge.simulation.conditions import model_of, unknown_places
from bridge.simulation.scenario import Scenario, invalid

RANDOM = "random"
"""The baseline: one candidate at random by the alias's weights, asked once, and nobody else after it."""
POLICIES: tuple[str, ...] = get_args(Policy)
Section = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Contender:
    """One column of the report."""

    name: str
    config: BridgeConfig
    targets: tuple[tuple[str, float], ...] = ()
    """For the baseline: models and their weights. Empty: the alias is called."""


def contenders(scenario: Scenario, names: Sequence[str] = (), *, where: str = "the scenario") -> tuple[Contender, ...]:
    """The scenario's policies, or those in `names`, ready to run.

    Raises:
        ConfigurationError: A policy, model or place is not known, or the bridge cannot be configured so.
    """
    wanted = tuple(dict.fromkeys(names or scenario.policies))
    problems = [problem for name in wanted for problem in _name_problems(name, scenario)]
    if problems:
        raise invalid(where, tuple(problems))
    try:
        found = tuple(_contender(name, scenario) for name in wanted)
        bridges = [Bridge(one.config, transports={}) for one in found]
        problems = _world_problems(scenario, bridges[0])
    except ConfigurationError as error:
        raise invalid(where, tuple(f"bridge: {problem.strip()}" for problem in error.problems)) from error
    if problems:
        raise invalid(where, tuple(problems))
    return found


def _name_problems(name: str, scenario: Scenario) -> list[str]:
    known = (*POLICIES, RANDOM, *scenario.variants)
    if name in scenario.variants and name in (*POLICIES, RANDOM):
        return [f"variants: {name!r} is the name of a policy already"]
    if name in known:
        return []
    meant = nearest(name, known)
    hint = f"; did you mean {meant!r}?" if meant else f"; there are {', '.join(known)}"
    return [f"policies: {name!r} is no policy and no variant{hint}"]


def _contender(name: str, scenario: Scenario) -> Contender:
    raw = _simulated(scenario.bridge)
    aliases = dict(_section(raw.get("aliases")))
    alias = aliases.get(scenario.alias)
    if not isinstance(alias, dict):
        raise ConfigurationError(f"aliases: there is no {scenario.alias!r}, which `alias` names")
    fields: Section = {"policy": name} if name in POLICIES else scenario.variants.get(name, {})
    aliases[scenario.alias] = {**alias, **fields}
    if name != RANDOM:
        return Contender(name, BridgeConfig.parse({**raw, "aliases": aliases}))
    retry = {**_section(raw.get("retry")), "max_per_target": 1}
    config = BridgeConfig.parse({**raw, "aliases": aliases, "retry": retry})
    view = _view(Bridge(config, transports={}), scenario.alias)
    weights = config.aliases[scenario.alias].weights
    return Contender(name, config, tuple((model, weights.get(model, 1.0)) for model in view.candidates))


def _simulated(bridge: Section) -> Section:
    """The bridge's sections with every provider at an address that only the simulation serves."""
    providers = _section(bridge.get("providers"))
    filled = {name: _simulated_provider(name, _section(provider)) for name, provider in providers.items()}
    return {**bridge, "providers": cast("JsonValue", filled)}


def _simulated_provider(name: str, provider: Section) -> Section:
    address = f"http://{name}.simulated/v1"
    sites = {site: {"base_url": address, **_section(one)} for site, one in _section(provider.get("sites")).items()}
    return {**provider, "dialect": "openai", "base_url": address, "sites": cast("JsonValue", sites)}


def _world_problems(scenario: Scenario, bridge: Bridge) -> list[str]:
    """What the bridge may call and the world does not have, and events that hit nobody."""
    view = _view(bridge, scenario.alias)
    reached = (*view.candidates, *view.fallback)
    problems = [
        f"world.models: {model_of(name)!r} may be called, and nothing is said of it"
        for name in dict.fromkeys(reached)
        if model_of(name) not in scenario.world.models
    ]
    problems += [
        f"world.events: {place!r} is neither a provider nor a model{_hint(place, scenario)}"
        for place in unknown_places(scenario.world, bridge.config.providers)
    ]
    problems += [
        f"expect: {bound.policy!r} is not one of the policies {', '.join(scenario.policies)}"
        for bound in scenario.expect
        if bound.policy not in scenario.policies
    ]
    return problems


def _hint(place: str, scenario: Scenario) -> str:
    meant = nearest(place, (*_section(scenario.bridge.get("providers")), *scenario.world.models))
    return f"; did you mean {meant!r}?" if meant else ""


def _view(bridge: Bridge, alias: str) -> AliasView:
    return next(view for view in bridge.aliases() if view.name == alias)


def _section(value: JsonValue) -> Section:
    """A mapping of the configuration; anything else is left to its own checks."""
    return value if isinstance(value, dict) else {}
