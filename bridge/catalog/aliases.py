"""Public names -> ordered deployments. Built-in aliases, custom ones, and plain `provider/model`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.catalog.deployments import Deployment, Deployments
from bridge.catalog.entries import ModelEntry
from bridge.catalog.models import ModelCatalog
from bridge.chat import Policy, RoutingOverrides
from bridge.config import AliasConfig, BridgeConfig
from bridge.config_problems import nearest
from bridge.errors import ConfigurationError, UnknownModelError
from bridge.geo import located

MAX_REMEMBERED = 5000
"""Names and lists of candidates whose routes are kept; callers may ask for any."""
BUILT_IN: dict[str, Policy] = {"fastest": "fastest", "cheapest": "cheapest", "best": "best", "balanced": "balanced"}


@dataclass(frozen=True, slots=True)
class Option:
    """One model of a route: its deployments, or why it has none."""

    entry: ModelEntry
    deployments: tuple[Deployment, ...]
    off_reason: str | None
    weight: float | None = None
    """For `weighted`: replaces the deployments' own weight."""
    listed_as: str = ""
    """The candidate that it came from: itself, or an alias that was unfolded."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a name resolves to."""

    requested: str
    alias: str | None
    policy: Policy
    candidates: tuple[Option, ...]
    fallback: tuple[Option, ...] = ()
    rules: AliasConfig | None = None
    """The alias's constraints and settings; None for a built-in alias or a model."""

    def deployments(self) -> dict[str, Deployment]:
        """Every deployment of the route by name."""
        options = (*self.candidates, *self.fallback)
        return {deployment.name: deployment for option in options for deployment in option.deployments}


@dataclass(frozen=True, slots=True)
class AliasView:
    """An alias as people see it."""

    name: str
    policy: Policy
    candidates: tuple[str, ...]
    fallback: tuple[str, ...]
    is_built_in: bool


class Aliases:
    """All names of one configuration.

    Raises:
        ConfigurationError: Aliases that name each other in a circle, or something nobody knows; all problems at once.
    """

    def __init__(self, config: BridgeConfig, catalog: ModelCatalog, deployments: Deployments) -> None:
        self._config = config
        self._catalog = catalog
        self._deployments = deployments
        self._routes: dict[str, Route] = {}
        self._asked_for: dict[tuple[str, ...], tuple[Option, ...]] = {}
        problems = [problem for name in config.aliases for problem in self._problems(name)]
        if problems:
            text = "the aliases cannot be resolved:\n" + "\n".join(f"  {problem}" for problem in problems)
            raise ConfigurationError(text, problems=tuple(problems))

    def knows(self, name: str) -> bool:
        """Is it an alias or a model?"""
        return name in self._config.aliases or name in BUILT_IN or self._catalog.find(name) is not None

    def suggest(self, name: str) -> str | None:
        """The nearest alias or model name."""
        return nearest(name, (*self._config.aliases, *BUILT_IN, *self._catalog.names()))

    def resolve(self, name: str, overrides: RoutingOverrides | None = None) -> Route:
        """The route of `name`, changed by what a single request asks for. Raises UnknownModelError."""
        route = self._route(name)
        if overrides is None:
            return route
        return replace(
            route,
            policy=overrides.policy or route.policy,
            candidates=self._named(overrides.candidates) if overrides.candidates else route.candidates,
            fallback=self._named(overrides.fallback) if overrides.fallback else route.fallback,
        )

    def views(self) -> tuple[AliasView, ...]:
        """All aliases, built-in ones first."""
        built_in = [name for name in BUILT_IN if name not in self._config.aliases]
        return tuple(self._view(name) for name in (*built_in, *sorted(self._config.aliases)))

    def _view(self, name: str) -> AliasView:
        route = self._route(name)
        return AliasView(
            name=name,
            policy=route.policy,
            candidates=tuple(option.entry.name for option in route.candidates),
            fallback=tuple(option.entry.name for option in route.fallback),
            is_built_in=name not in self._config.aliases,
        )

    def _route(self, name: str) -> Route:
        """The same object for the same name: what is worked out about a route may be kept."""
        if name not in self._routes:
            if len(self._routes) >= MAX_REMEMBERED:
                self._routes.clear()
            self._routes[name] = self._made(name)
        return self._routes[name]

    def _named(self, names: tuple[str, ...]) -> tuple[Option, ...]:
        if names not in self._asked_for:
            if len(self._asked_for) >= MAX_REMEMBERED:
                self._asked_for.clear()
            self._asked_for[names] = self._options(names)
        return self._asked_for[names]

    def _made(self, name: str) -> Route:
        rules = self._config.aliases.get(name)
        if rules is not None:
            fallback = self._options(rules.fallback)
            return Route(name, name, rules.policy, self._options(rules.candidates, rules.weights), fallback, rules)
        if name in BUILT_IN:
            entries = self._catalog.alias_defaults()
            return Route(name, name, BUILT_IN[name], tuple(self._option(entry) for entry in entries))
        if self._catalog.find(name) is None:
            raise UnknownModelError(name, suggestion=self.suggest(name))
        return Route(name, None, "priority", self._options((name,)))

    def _options(self, names: Iterable[str], weights: dict[str, float] | None = None) -> tuple[Option, ...]:
        """The models behind `names`, aliases unfolded, each once, in order."""
        found: dict[str, Option] = {}
        for name in names:
            weight = (weights or {}).get(name)
            for entry in self._entries(name):
                found.setdefault(entry.name, replace(self._option(entry, weight), listed_as=name))
        return tuple(found.values())

    def _option(self, entry: ModelEntry, weight: float | None = None) -> Option:
        deployments = self._deployments.of(entry)
        off = None if deployments else f"{entry.provider} is off: {self._deployments.off_reason(entry.provider)}"
        return Option(entry, deployments, off, weight)

    def _entries(self, name: str) -> tuple[ModelEntry, ...]:
        rules = self._config.aliases.get(name)
        if rules is not None:
            return tuple(entry for inner in rules.candidates for entry in self._entries(inner))
        if name in BUILT_IN:
            return self._catalog.alias_defaults()
        entry = self._catalog.find(name)
        if entry is None:
            raise UnknownModelError(name, suggestion=self.suggest(name))
        return (entry,)

    def _problems(self, name: str) -> list[str]:
        rules = self._config.aliases[name]
        if "/" in name:
            return [f"aliases.{name}: an alias has no slash; that is how models are told from aliases"]
        problems = [
            f"aliases.{name}.{field}: unknown model or alias {used!r}{self._hint(used)}"
            for field, names in (("candidates", rules.candidates), ("fallback", rules.fallback))
            for used in names
            if not self.knows(used)
        ]
        problems += [
            f"aliases.{name}.{field}: {used!r} is not one of its candidates"
            for field, names in _mentioned(rules).items()
            for used in names
            if used not in rules.candidates
        ]
        problems += [f"aliases.{name}.{problem}" for problem in _policy_problems(rules)]
        circle = self._circle(name, ())
        return problems + ([f"aliases.{name}: goes in a circle: {' -> '.join(circle)}"] if circle else [])

    def _circle(self, name: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if name in path:
            return (*path[path.index(name) :], name)
        rules = self._config.aliases.get(name)
        if rules is None:
            return None
        inner = (self._circle(used, (*path, name)) for used in (*rules.candidates, *rules.fallback))
        return next((circle for circle in inner if circle is not None), None)

    def _hint(self, name: str) -> str:
        meant = self.suggest(name)
        return f"; did you mean {meant!r}?" if meant else ""


def _mentioned(rules: AliasConfig) -> dict[str, tuple[str, ...]]:
    """Where the alias speaks of its own candidates, and of which."""
    return {
        "weights": tuple(rules.weights),
        "ramp.to": tuple(rules.ramp.to) if rules.ramp is not None else (),
        "experiment.arms": tuple(rules.experiment.arms) if rules.experiment is not None else (),
        **{f"intents.{name}.candidates": intent.candidates for name, intent in rules.intents.items()},
    }


def _policy_problems(rules: AliasConfig) -> list[str]:
    """What its policy needs and is not there."""
    problems: list[str] = []
    if rules.policy == "semantic" and not rules.intents:
        problems.append("intents: the policy `semantic` needs at least one")
    if rules.policy == "experiment" and rules.experiment is None:
        problems.append("experiment: the policy `experiment` needs its arms")
    if rules.experiment is not None and not any(share > 0 for share in rules.experiment.arms.values()):
        problems.append("experiment.arms: give at least one a share above 0")
    home = rules.geo.home if rules.geo is not None else None
    if home is not None and located(home) is None:
        problems.append(f"geo.home: {home!r} is no region, country or area that is known (`eu-west-1`, `de`, `eu`)")
    if rules.ramp is not None and rules.ramp.ends_at <= rules.ramp.starts_at:
        problems.append("ramp.ends_at: must be later than starts_at")
    return problems
