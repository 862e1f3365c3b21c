"""The platform's metrics: one registry, given to whoever counts, shown at /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge.metrics import CallMetrics

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
RUN_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

METRIC_NAMES = frozenset(
    {
        "modelbridge_attempt_seconds",
        "modelbridge_attempts_total",
        "modelbridge_calls_total",
        "modelbridge_cost_usd_total",
        "modelbridge_first_token_seconds",
        "modelbridge_http_request_seconds",
        "modelbridge_http_requests_total",
        "modelbridge_journal_pending_bytes",
        "modelbridge_overhead_seconds",
        "modelbridge_run_seconds",
        "modelbridge_runs_active",
        "modelbridge_runs_total",
        "modelbridge_tokens_total",
        "modelbridge_unpriced_attempts_total",
    }
)
"""Every series we expose; dashboards and alert rules may use only these (a test compares both sides)."""


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = CallMetrics(self.registry)
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
        self._runs = Counter("modelbridge_runs_total", "Runs by end.", ("status", "lane"), registry=self.registry)
        self._run_seconds = Histogram(
            "modelbridge_run_seconds", "Duration of runs.", ("lane",), registry=self.registry, buckets=RUN_SECONDS
        )
        self.runs_active = Gauge("modelbridge_runs_active", "Runs walked by this process now.", registry=self.registry)
        self.journal_pending_bytes = Gauge(
            "modelbridge_journal_pending_bytes", "Usage not yet in the ledger.", registry=self.registry
        )

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

    def run_ended(self, status: str, lane: str, duration_s: float) -> None:
        """Count a run that reached its final status."""
        self._runs.labels(status, lane).inc()
        self._run_seconds.labels(lane).observe(duration_s)

    def exposition(self) -> tuple[bytes, str]:
        """The text for Prometheus and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
