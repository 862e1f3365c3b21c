"""A request as the router sees it: what it needs, what binds it, and an offer for every deployment of its route."""

from dataclasses import dataclass, replace
from datetime import datetime

from bridge.call_record import CallKind
from bridge.catalog.aliases import Option, Route
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import ExpectedRates, Prices
from bridge.chat import AudioPart, ChatRequest, DocumentPart, ImagePart, RoutingOverrides, TextPart
from bridge.config import AliasConfig, DefaultsConfig
from bridge.decision import Constraints, Experiment, GeoRule, Intent, Offer, RoutingQuestion
from bridge.providers.adapter import chat_adapter
from bridge.tokens import TokenEstimator

MAX_ROUTES = 1000
NO_OVERRIDES = RoutingOverrides()
NEEDS_OF_PARTS = {ImagePart: "vision", DocumentPart: "documents", AudioPart: "audio"}
NO_REASONING = frozenset({"none", "disable"})


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the gateway knows about a call beside the request."""

    task: str
    is_stream: bool
    is_budgeted: bool
    max_output_tokens: int | None
    """The output limit that will be sent."""
    at: datetime
    expected_output_tokens: int | None = None
    """How long answers to the task have been; None: not known yet."""
    allowed_models: tuple[str, ...] | None = None
    """What the caller may use; None: everything."""
    unit: str | None = None
    """What an experiment assigns; None: the request itself."""
    kind: CallKind = "chat"


@dataclass(slots=True)
class _Known:
    """What was worked out for a route, and in which minute."""

    route: Route
    minute: datetime
    offers: tuple[Offer, ...]
    deployments: tuple[Deployment | None, ...]
    """By offer; None where it is off."""
    first_tier_tokens: int | None
    constraints: Constraints
    under_budget: Constraints
    """The same for calls that a budget covers."""


class Questions:
    """Asks. One for a bridge: what does not change from call to call is worked out once a route and minute."""

    def __init__(self, prices: Prices, defaults: DefaultsConfig) -> None:
        self._prices = prices
        self._defaults = defaults
        self._known: dict[str, _Known] = {}
        self._estimator = TokenEstimator()

    def ask(self, request: ChatRequest, route: Route, facts: RequestFacts) -> RoutingQuestion:
        """The question of one call."""
        defaults, rules = self._defaults, route.rules
        known = self._known_of(route, facts.at)
        expected = facts.expected_output_tokens or defaults.expected_output_tokens
        input_tokens = self._estimator.input_tokens(route.requested, request)
        alias = known.under_budget if facts.is_budgeted else known.constraints
        constraints = _constraints(alias, request.routing, facts)
        latency_s = constraints.max_latency_s
        return RoutingQuestion(
            requested=route.requested,
            alias=route.alias,
            policy=route.policy,
            task=facts.task,
            offers=self._offers(known, request, input_tokens, facts.at),
            needs=_needs(request, route, facts),
            input_tokens=input_tokens,
            output_tokens=min(expected, facts.max_output_tokens or expected),
            max_output_tokens=request.max_output_tokens,
            constraints=constraints,
            epsilon=rules.epsilon if rules is not None and rules.epsilon is not None else defaults.epsilon,
            latency_target_s=defaults.latency_target_ms / 1000 if latency_s is None else latency_s,
            score_weights=rules.score_weights.model_dump() if rules and rules.score_weights else {},
            may_drop=_may_drop(request, rules),
            exploration=rules.exploration if rules is not None else 0.0,
            geo=_geo(route, request.routing),
            intents=_intents(rules) if rules is not None and route.policy == "semantic" else (),
            experiment=_experiment(rules, facts.unit) if rules is not None and route.policy == "experiment" else None,
        )

    def _known_of(self, route: Route, at: datetime) -> _Known:
        """Worked out anew every minute: prices have dates and hours."""
        minute = at.replace(second=0, microsecond=0)
        known = self._known.get(route.requested)
        if known is not None and known.minute == minute and _is_same(known.route, route):
            return known
        if len(self._known) >= MAX_ROUTES:
            self._known.clear()
        listed = _each_once(route)
        rates = [None if one is None else self._prices.expected_rates(one, 0, at) for _, one, _ in listed]
        tiers = [rate.tier_tokens for rate in rates if rate is not None and rate.tier_tokens is not None]
        constraints = _alias_constraints(route, at)
        known = _Known(
            route,
            minute,
            tuple(_offer(*each, rate) for each, rate in zip(listed, rates, strict=True)),
            tuple(one for _, one, _ in listed),
            min(tiers, default=None),
            constraints,
            replace(constraints, needs_known_price=True),
        )
        self._known[route.requested] = known
        return known

    def _offers(self, known: _Known, request: ChatRequest, input_tokens: int, at: datetime) -> tuple[Offer, ...]:
        """The route's offers, with the tier's price of a long request and the features that a request misses."""
        is_long = known.first_tier_tokens is not None and input_tokens > known.first_tier_tokens
        if not is_long and is_plain(request):
            return known.offers
        return tuple(
            offer
            if target is None
            else self._for_request(offer, target, request, input_tokens if is_long else None, at)
            for offer, target in zip(known.offers, known.deployments, strict=True)
        )

    def _for_request(
        self, offer: Offer, target: Deployment, request: ChatRequest, input_tokens: int | None, at: datetime
    ) -> Offer:
        lacks = chat_adapter(target.dialect).lacks(request, target)
        if lacks:
            offer = replace(offer, lacks=lacks)
        if input_tokens is None:
            return offer
        rates = self._prices.expected_rates(target, input_tokens, at)
        return offer if rates is None or rates.tier_tokens is None else replace(offer, **_price_fields(rates))


def is_plain(request: ChatRequest) -> bool:
    """Does the request ask for nothing but an answer to text? Every dialect can express that."""
    is_default = (
        request.temperature is None
        and request.top_p is None
        and request.top_k is None
        and request.seed is None
        and not request.stop
        and request.n == 1
        and request.frequency_penalty is None
        and request.presence_penalty is None
        and request.logprobs is None
        and request.top_logprobs is None
        and request.reasoning_effort is None
        and not request.tools
        and request.tool_choice is None
        and request.response_format is None
    )
    return is_default and all(
        type(part) is TextPart and not message.reasoning for message in request.messages for part in message.content
    )


def _is_same(one: Route, other: Route) -> bool:
    """Do both have the same candidates and rules? Identity is enough: the aliases keep their routes."""
    return one.candidates is other.candidates and one.fallback is other.fallback and one.rules is other.rules


def _each_once(route: Route) -> list[tuple[Option, Deployment | None, bool]]:
    """Every deployment, or a None for an option without any; a fallback that is a candidate already is no second."""
    found: dict[str, tuple[Option, Deployment | None, bool]] = {}
    for options, is_fallback in ((route.candidates, False), (route.fallback, True)):
        for option in options:
            for one in option.deployments:
                found.setdefault(one.name, (option, one, is_fallback))
            if not option.deployments:
                found.setdefault(option.entry.name, (option, None, is_fallback))
    return list(found.values())


def _offer(option: Option, target: Deployment | None, is_fallback: bool, rates: ExpectedRates | None) -> Offer:
    entry = option.entry
    if target is None:
        return Offer(entry.name, entry.name, entry.provider, is_fallback, option.off_reason or "off", option.listed_as)
    regions = {target.region} if target.region else entry.regions
    plain = Offer(
        deployment=target.name,
        model=entry.name,
        provider=entry.provider,
        is_fallback=is_fallback,
        listed_as=option.listed_as,
        capabilities=tuple(sorted(entry.capabilities)),
        tags=tuple(sorted(entry.tags)),
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        regions=tuple(sorted(regions)),
        weight=target.weight if option.weight is None else option.weight,
        deprecated_on=None if entry.deprecated_on is None else entry.deprecated_on.isoformat(),
        in_flight_limit=target.in_flight_limit,
    )
    return plain if rates is None else replace(plain, **_price_fields(rates))


def _price_fields(rates: ExpectedRates) -> dict[str, float | None]:
    return {
        "input_usd_per_mtok": rates.input_usd_per_mtok,
        "output_usd_per_mtok": rates.output_usd_per_mtok,
        "cache_read_usd_per_mtok": rates.cache_read_usd_per_mtok,
        "request_usd": rates.request_usd,
    }


def _needs(request: ChatRequest, route: Route, facts: RequestFacts) -> tuple[str, ...]:
    needs: set[str] = {facts.kind, "stream"} if facts.is_stream else {facts.kind}
    if request.tools:
        needs.add("tools")
    for message in request.messages:
        for part in message.content:
            need = NEEDS_OF_PARTS.get(type(part))  # pyright: ignore[reportArgumentType]  # plain text has no need
            if need is not None:
                needs.add(need)
    rules = route.rules
    if _wants_reasoning(request, rules, is_named=route.alias is None):
        needs.add("reasoning")
    if rules is not None:
        needs.update(rules.capabilities)
    return tuple(sorted(needs))


def _wants_reasoning(request: ChatRequest, rules: AliasConfig | None, *, is_named: bool) -> bool:
    """Of a model that the caller named himself the catalogue may know too little: its provider decides."""
    effort = request.reasoning_effort
    if effort is None or effort in NO_REASONING or is_named:
        return False
    return "reasoning_effort" not in _may_drop(request, rules)


def _may_drop(request: ChatRequest, rules: AliasConfig | None) -> tuple[str, ...]:
    own = request.routing.may_drop if request.routing is not None else frozenset[str]()
    named = own if rules is None else rules.may_drop | own
    return tuple(sorted(named)) if named else ()


def _alias_constraints(route: Route, at: datetime) -> Constraints:
    served_on = None if route.alias is None else at.date().isoformat()
    rules = route.rules
    if rules is None:
        return Constraints(served_on=served_on)
    return Constraints(
        context_window=rules.context_window,
        regions=tuple(sorted(rules.regions)),
        max_input_usd_per_mtok=rules.max_input_usd_per_mtok,
        max_output_usd_per_mtok=rules.max_output_usd_per_mtok,
        max_latency_s=None if rules.max_latency_ms is None else rules.max_latency_ms / 1000,
        quality_floor=rules.quality_floor,
        tags=tuple(sorted(rules.tags)),
        served_on=served_on,
    )


def _constraints(alias: Constraints, overrides: RoutingOverrides | None, facts: RequestFacts) -> Constraints:
    """The alias's constraints, each tightened or replaced by the request's own."""
    if overrides is None and facts.allowed_models is None:
        return alias
    asked = overrides or NO_OVERRIDES
    return replace(
        alias,
        regions=tuple(sorted(asked.regions)) or alias.regions,
        max_cost_usd=asked.max_cost_usd,
        max_latency_s=asked.max_latency_ms / 1000 if asked.max_latency_ms else alias.max_latency_s,
        quality_floor=alias.quality_floor if asked.quality_floor is None else asked.quality_floor,
        allowed_models=facts.allowed_models,
    )


def _geo(route: Route, overrides: RoutingOverrides | None) -> GeoRule | None:
    """The request's own place stands for the alias's home, in distance and residency alike."""
    rule = route.rules.geo if route.rules is not None else None
    near = overrides.near if overrides is not None else None
    if rule is None:
        return GeoRule(near) if near is not None else None
    return GeoRule(near or rule.home, rule.is_strict)


def _intents(rules: AliasConfig) -> tuple[Intent, ...]:
    return tuple(Intent(name, one.candidates, one.threshold) for name, one in rules.intents.items())


def _experiment(rules: AliasConfig, unit: str | None) -> Experiment | None:
    one = rules.experiment
    return None if one is None else Experiment(one.name, dict(one.arms), unit)
