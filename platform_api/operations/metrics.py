"""The platform's metrics: one registry, given to whoever counts, shown at /metrics."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge.metrics import CallMetrics
from bridge.redis_link import RedisLink
from platform_api.operations.health_metrics import HealthCollector
from platform_api.operations.loop_lag import LoopLag
from platform_api.operations.run_metrics import RunMetrics
from platform_api.structured_logging import redacted

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

METRIC_NAMES = frozenset(
    {
        "modelbridge_attempt_seconds",
        "modelbridge_attempts_total",
        "modelbridge_budget_refusals_total",
        "modelbridge_calls_total",
        "modelbridge_circuit_state",
        "modelbridge_cost_usd_total",
        "modelbridge_deployment_in_flight",
        "modelbridge_deployment_paused_seconds",
        "modelbridge_deployment_success_ratio",
        "modelbridge_deployments_hidden",
        "modelbridge_event_loop_lag_seconds",
        "modelbridge_failovers_total",
        "modelbridge_first_token_seconds",
        "modelbridge_hedges_total",
        "modelbridge_http_request_seconds",
        "modelbridge_http_requests_total",
        "modelbridge_journal_lag_seconds",
        "modelbridge_journal_pending_bytes",
        "modelbridge_limit_refusals_total",
        "modelbridge_overhead_seconds",
        "modelbridge_redis_fallbacks_total",
        "modelbridge_redis_up",
        "modelbridge_provider_enabled",
        "modelbridge_rescues_total",
        "modelbridge_retries_total",
        "modelbridge_run_seconds",
        "modelbridge_runs_active",
        "modelbridge_runs_total",
        "modelbridge_spans_total",
        "modelbridge_step_retries_total",
        "modelbridge_step_seconds",
        "modelbridge_steps_total",
        "modelbridge_tokens_total",
        "modelbridge_unpriced_attempts_total",
    }
)
"""Every series we expose; dashboards and alert rules may use only these (a test compares both sides)."""


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = CallMetrics(self.registry, shown=lambda name: str(redacted(name)))
        self.runs = RunMetrics(self.registry)
        self.health = HealthCollector(self.registry)
        self.loop_lag = LoopLag(self.registry)
        self._requests = Counter(
            "modelbridge_http_requests_total",
            "Requests by route template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "modelbridge_http_request_seconds",
            "Duration of requests.",
            ("route",),
            registry=self.registry,
            buckets=REQUEST_SECONDS,
        )
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """Series are kept: looking them up costs more than counting. Methods, templates and statuses are few."""
        self.runs_active = Gauge("modelbridge_runs_active", "Runs walked by this process now.", registry=self.registry)
        self.journal_pending_bytes = Gauge(
            "modelbridge_journal_pending_bytes", "Usage not yet in the ledger.", registry=self.registry
        )
        self.journal_lag_seconds = Gauge(
            "modelbridge_journal_lag_seconds",
            "How long the oldest call that is not in the ledger has waited.",
            registry=self.registry,
        )
        self._spans = Counter(
            "modelbridge_spans_total", "Spans by what became of them.", ("outcome",), registry=self.registry
        )
        self.limit_refusals = Counter(
            "modelbridge_limit_refusals_total", "Requests over a tenant's limit.", ("policy",), registry=self.registry
        )
        self.redis_fallbacks = Counter(
            "modelbridge_redis_fallbacks_total",
            "Calls that went on without an answer of Redis.",
            ("purpose",),
            registry=self.registry,
        )
        self._redis_up = Gauge(
            "modelbridge_redis_up", "Does Redis answer? 1 or 0; none without it.", ("purpose",), registry=self.registry
        )

    def watch_redis(self, link: RedisLink) -> None:
        """Show whether Redis answers on this way to it, and count what goes on without."""
        self._redis_up.labels(link.purpose).set_function(lambda: float(link.is_up))
        missed = self.redis_fallbacks.labels(link.purpose)
        link.on_fallback = missed.inc

    def request_ended(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request. `route` is the template, never the raw path."""
        names = (method, route, status)
        known = self._by_request.get(names)
        if known is None:
            series = (self._requests.labels(method, route, str(status)), self._request_seconds.labels(route))
            known = self._by_request[names] = series
        requests, seconds = known
        requests.inc()
        seconds.observe(duration_s)

    def spans_exported(self, outcome: Literal["sent", "lost"], n_spans: int) -> None:
        """Count spans that a collector took, or did not take."""
        self._spans.labels(outcome).inc(n_spans)

    def exposition(self) -> tuple[bytes, str]:
        """The text for Prometheus and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
