"""Calls as Prometheus series. Labels are bounded: configured aliases, catalogue models, fixed words."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from bridge.call_record import AttemptRecord, CallRecord
from bridge.money import NANO_PER_USD

CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
FIRST_TOKEN_SECONDS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class CallMetrics:
    """A CallSink that counts. Children of labelled series are kept, since looking them up costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
            "modelbridge_tokens_total", "Tokens of attempts.", (*by_model, "direction"), registry=registry
        )
        self._cost = Counter("modelbridge_cost_usd_total", "Known cost of attempts.", by_model, registry=registry)
        self._unpriced = Counter(
            "modelbridge_unpriced_attempts_total", "Attempts whose price is unknown.", by_model, registry=registry
        )

    def record(self, call: CallRecord) -> None:
        """Count a finished call and its attempts."""
        self._calls.labels(call.alias or "direct", call.status, call.cache).inc()
        for attempt in call.attempts:
            self._count(attempt)

    def _count(self, attempt: AttemptRecord) -> None:
        provider, model = attempt.provider, attempt.model
        outcome = attempt.error_class or attempt.outcome
        self._attempts.labels(provider, model, outcome).inc()
        self._seconds.labels(provider, model).observe(attempt.duration_ms / 1000)
        if attempt.ttft_ms is not None:
            self._first_token.labels(provider, model).observe(attempt.ttft_ms / 1000)
        if attempt.usage is not None:
            self._tokens.labels(provider, model, "input").inc(attempt.usage.input_tokens)
            self._tokens.labels(provider, model, "output").inc(attempt.usage.output_tokens)
        if attempt.cost_nano_usd is None:
            self._unpriced.labels(provider, model).inc()
        else:
            self._cost.labels(provider, model).inc(attempt.cost_nano_usd / NANO_PER_USD)
