"""Calls as Prometheus series. Labels are bounded: configured aliases, catalogue models, fixed words."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram

from bridge.call_record import AttemptRecord, CallRecord
from bridge.money import NANO_PER_USD

CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0)
FIRST_TOKEN_SECONDS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


MAX_NAMES = 500
"""Distinct values of one label. A caller may name any model at a provider that serves what it likes."""
MAX_NAME_CHARS = 120
OTHER = "other"
DIRECT = "direct"
"""The alias of a call that names a model."""


class LabelCap:
    """Values of a label: the first `limit` distinct ones, all that were reserved, and `other` for the rest."""

    def __init__(self, limit: int = MAX_NAMES, *, shown: Callable[[str], str] = str) -> None:
        self._limit = limit
        self._shown = shown
        self._known: dict[str, str] = {}

    def reserve(self, names: Iterable[str]) -> None:
        """Keep a place for these, however many others come before."""
        for name in names:
            if name not in self._known:
                self._known[name] = self._shown(name)[:MAX_NAME_CHARS]
                self._limit += 1

    def of(self, name: str) -> str:
        """What stands for `name`."""
        found = self._known.get(name)
        if found is not None:
            return found
        if len(self._known) >= self._limit:
            return OTHER
        value = self._known[name] = self._shown(name)[:MAX_NAME_CHARS]
        return value


class CallMetrics:
    """A CallSink that counts. Children of labelled series are kept, since looking them up costs more than counting."""

    def __init__(
        self, registry: CollectorRegistry, *, max_names: int = MAX_NAMES, shown: Callable[[str], str] = str
    ) -> None:
        """At most `max_names` aliases and models are told apart; `shown` takes out of a name what nobody may see."""
        self.aliases = LabelCap(max_names, shown=shown)
        self.models = LabelCap(max_names, shown=shown)
        by_model = ("provider", "model")
        self._calls = Counter(
            "modelbridge_calls_total", "Calls by end.", ("alias", "status", "cache"), registry=registry
        )
        self._attempts = Counter(
            "modelbridge_attempts_total", "Attempts at providers by end.", (*by_model, "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "modelbridge_attempt_seconds", "Duration of attempts.", by_model, registry=registry, buckets=CALL_SECONDS
        )
        self._first_token = Histogram(
            "modelbridge_first_token_seconds",
            "Time to the first token.",
            by_model,
            registry=registry,
            buckets=FIRST_TOKEN_SECONDS,
        )
        self._tokens = Counter(
            "modelbridge_tokens_total",
            "Tokens of attempts; the cached ones are among the input.",
            (*by_model, "direction"),
            registry=registry,
        )
        self._overhead = Histogram(
            "modelbridge_overhead_seconds",
            "What calls took beside their attempts: deciding, waiting between attempts, recording.",
            registry=registry,
            buckets=OVERHEAD_SECONDS,
        )
        self._cost = Counter("modelbridge_cost_usd_total", "Known cost of attempts.", by_model, registry=registry)
        self._unpriced = Counter(
            "modelbridge_unpriced_attempts_total", "Attempts whose price is unknown.", by_model, registry=registry
        )
        self._retries = Counter(
            "modelbridge_retries_total",
            "Further attempts at the same target after a failure.",
            by_model,
            registry=registry,
        )
        self._failovers = Counter(
            "modelbridge_failovers_total", "Attempts at another target after a failure.", ("alias",), registry=registry
        )
        self._hedges = Counter(
            "modelbridge_hedges_total", "Attempts beside one that was slow.", ("alias",), registry=registry
        )
        self._rescues = Counter(
            "modelbridge_rescues_total", "Broken streams that another target took up.", ("alias",), registry=registry
        )
        self._refusals = Counter(
            "modelbridge_budget_refusals_total", "Calls that a budget refused.", ("alias",), registry=registry
        )

        self._by_end: dict[tuple[str, str, str], Counter] = {}
        self._by_target: dict[tuple[str, str, str, bool], _Target] = {}

    def record(self, call: CallRecord) -> None:
        """Count a finished call and its attempts."""
        alias = self.aliases.of(call.alias or DIRECT)
        end = (alias, call.status, call.cache)
        calls = self._by_end.get(end)
        if calls is None:
            calls = self._by_end[end] = self._calls.labels(*end)
        calls.inc()
        for attempt in call.attempts:
            self._count(attempt)
        if len(call.attempts) > 1:
            self._count_further(alias, call.attempts)
        if call.is_rescued:
            self._rescues.labels(alias).inc()
        if call.error_class == "budget":
            self._refusals.labels(alias).inc()
        spent_s = sum(attempt.duration_ms for attempt in call.attempts) / 1000
        self._overhead.observe(max(0.0, (call.finished_at - call.started_at).total_seconds() - spent_s))

    def _count_further(self, alias: str, attempts: Sequence[AttemptRecord]) -> None:
        """Why attempts after the first were made. After a success it is another question: nothing is counted."""
        in_order = sorted(attempts, key=lambda one: one.started_at)
        for before, after in pairwise(in_order):
            if after.started_at < before.started_at + timedelta(milliseconds=before.duration_ms):
                self._hedges.labels(alias).inc()
            elif before.outcome == "failed" and before.deployment == after.deployment:
                self._retries.labels(after.provider, self.models.of(after.model)).inc()
            elif before.outcome == "failed":
                self._failovers.labels(alias).inc()

    def _count(self, attempt: AttemptRecord) -> None:
        is_priced = attempt.cost_nano_usd is not None
        model = self.models.of(attempt.model)
        names = (attempt.provider, model, attempt.error_class or attempt.outcome, is_priced)
        target = self._by_target.get(names)
        if target is None:
            target = self._by_target[names] = self._target(*names)
        target.attempts.inc()
        target.seconds.observe(attempt.duration_ms / 1000)
        if attempt.ttft_ms is not None:
            target.first_token.observe(attempt.ttft_ms / 1000)
        usage = attempt.usage
        if usage is not None:
            target.input_tokens.inc(usage.input_tokens)
            target.output_tokens.inc(usage.output_tokens)
            if usage.cached_tokens:
                target.cached_tokens.inc(usage.cached_tokens)
        if attempt.cost_nano_usd is None:
            target.price.inc()
        else:
            target.price.inc(attempt.cost_nano_usd / NANO_PER_USD)

    def _target(self, provider: str, model: str, outcome: str, is_priced: bool) -> "_Target":
        return _Target(
            self._attempts.labels(provider, model, outcome),
            self._seconds.labels(provider, model),
            self._first_token.labels(provider, model),
            self._tokens.labels(provider, model, "input"),
            self._tokens.labels(provider, model, "output"),
            self._tokens.labels(provider, model, "cached"),
            (self._cost if is_priced else self._unpriced).labels(provider, model),
        )


class _Target(NamedTuple):
    """The series of attempts at one model with one end."""

    attempts: Counter
    seconds: Histogram
    first_token: Histogram
    input_tokens: Counter
    output_tokens: Counter
    cached_tokens: Counter
    price: Counter
    """What is known to be spent, or how many attempts have no known price."""
