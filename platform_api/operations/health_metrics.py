"""Providers and deployments as they stand, read when Prometheus asks. At most `MAX_DEPLOYMENTS` are shown."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bridge.decision import DeploymentState
from platform_api.structured_logging import redacted

CIRCUITS = ("closed", "half_open", "open")
MAX_DEPLOYMENTS = 300
"""Of the others there is `modelbridge_deployments_hidden`. Those in trouble come first."""

States = Callable[[], Mapping[str, DeploymentState]]
Providers = Callable[[], Mapping[str, str | None]]
"""Configured provider -> why it is off, None when it is on."""


class HealthCollector(Collector):
    """Reads the health of a bridge. Until `watch` is called nothing is known, and nothing shown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._states: States = dict
        self._providers: Providers = dict
        registry.register(self)

    def watch(self, states: States, providers: Providers) -> None:
        """Show these from now on."""
        self._states, self._providers = states, providers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The series of this moment."""
        enabled = GaugeMetricFamily(
            "modelbridge_provider_enabled", "Is a configured provider used at all? 1 or 0.", labels=("provider",)
        )
        for provider, off_reason in self._providers().items():
            enabled.add_metric((provider,), 0.0 if off_reason else 1.0)
        yield enabled
        states = sorted(self._states().items(), key=lambda one: (one[1].circuit == "closed", one[0]))
        yield from _deployments(states[:MAX_DEPLOYMENTS])
        hidden = GaugeMetricFamily("modelbridge_deployments_hidden", "Deployments whose health is not shown.")
        hidden.add_metric((), float(max(0, len(states) - MAX_DEPLOYMENTS)))
        yield hidden


def _deployments(states: list[tuple[str, DeploymentState]]) -> Iterator[GaugeMetricFamily]:
    circuit = GaugeMetricFamily(
        "modelbridge_circuit_state", "1 for the state a deployment's circuit is in.", labels=("deployment", "state")
    )
    success = GaugeMetricFamily(
        "modelbridge_deployment_success_ratio", "Share of attempts that went well lately.", labels=("deployment",)
    )
    flying = GaugeMetricFamily(
        "modelbridge_deployment_in_flight", "Attempts under way at a deployment.", labels=("deployment",)
    )
    paused = GaugeMetricFamily(
        "modelbridge_deployment_paused_seconds", "Until a deployment may be asked again.", labels=("deployment",)
    )
    for name, state in states:
        shown = str(redacted(name))
        for one in CIRCUITS:
            circuit.add_metric((shown, one), float(state.circuit == one))
        if state.success_share is not None:
            success.add_metric((shown,), state.success_share)
        flying.add_metric((shown,), float(state.in_flight))
        paused.add_metric((shown,), state.retry_at_s)
    yield from (circuit, success, flying, paused)
