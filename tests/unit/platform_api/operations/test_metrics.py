"""The list of metric names and what is exposed are the same."""

import asyncio
import re
import time

from prometheus_client.parser import text_string_to_metric_families

from bridge.decision import DeploymentState
from platform_api.operations.health_metrics import MAX_DEPLOYMENTS
from platform_api.operations.metrics import METRIC_NAMES, Metrics

COUNTS = ("_active", "_in_flight", "_hidden", "_state", "_enabled", "_up")
"""Endings of gauges that count things or answer yes or no."""


def test_the_listed_names_are_exactly_the_exposed_ones() -> None:
    text = Metrics().exposition()[0].decode()
    exposed = set(re.findall(r"^# TYPE (modelbridge_\w+) ", text, re.MULTILINE))

    assert {re.sub(r"_created$", "", name) for name in exposed} == METRIC_NAMES


def test_requests_are_counted_by_route_template() -> None:
    metrics = Metrics()

    metrics.request_ended("GET", "/api/runs/{run_id}", 200, 0.003)

    sample = metrics.registry.get_sample_value
    labels = {"method": "GET", "route": "/api/runs/{run_id}", "status": "200"}
    assert sample("modelbridge_http_requests_total", labels) == 1
    assert sample("modelbridge_http_request_seconds_count", {"route": "/api/runs/{run_id}"}) == 1


def test_what_is_exposed_is_read_by_the_parser_with_a_unit_or_a_count_in_every_name() -> None:
    metrics = Metrics()
    metrics.request_ended("GET", "/api/runs/{run_id}", 200, 0.003)
    metrics.health.watch(lambda: {"acme/llama": DeploymentState(circuit="open")}, lambda: {"acme": None})

    families = list(text_string_to_metric_families(metrics.exposition()[0].decode()))

    names = {family.name for family in families if not family.name.endswith("_created")}
    assert {re.sub(r"_total$", "", name) for name in METRIC_NAMES} == names
    assert all(family.documentation for family in families)
    units = ("_seconds", "_bytes", "_usd", "_ratio", "_total")
    without = {name for name in METRIC_NAMES if not name.endswith((*units, *COUNTS))}
    assert without == set()


def test_the_circuit_of_every_deployment_is_shown_as_the_state_it_is_in() -> None:
    metrics = Metrics()
    states = {
        "acme/llama": DeploymentState(circuit="open", retry_at_s=12.5, success_share=0.25, in_flight=3),
        "acme/ok": DeploymentState(),
    }
    metrics.health.watch(lambda: states, lambda: {"acme": None, "off": "OFF_KEY is not set"})

    value = metrics.registry.get_sample_value
    circuit = {
        one: value("modelbridge_circuit_state", {"deployment": "acme/llama", "state": one})
        for one in ("closed", "half_open", "open")
    }
    assert circuit == {"closed": 0, "half_open": 0, "open": 1}
    assert value("modelbridge_deployment_success_ratio", {"deployment": "acme/llama"}) == 0.25
    assert value("modelbridge_deployment_success_ratio", {"deployment": "acme/ok"}) is None
    assert value("modelbridge_deployment_paused_seconds", {"deployment": "acme/llama"}) == 12.5
    assert value("modelbridge_deployment_in_flight", {"deployment": "acme/llama"}) == 3
    assert [value("modelbridge_provider_enabled", {"provider": one}) for one in ("acme", "off")] == [1, 0]


def test_of_ten_thousand_deployments_those_in_trouble_are_shown_first() -> None:
    metrics = Metrics()
    states = {f"ollama/m{number}": DeploymentState() for number in range(10_000)}
    metrics.health.watch(lambda: {**states, "ollama/zz": DeploymentState(circuit="open")}, dict)

    value = metrics.registry.get_sample_value
    assert value("modelbridge_circuit_state", {"deployment": "ollama/zz", "state": "open"}) == 1
    assert value("modelbridge_deployments_hidden") == 10_001 - MAX_DEPLOYMENTS


async def test_a_loop_that_is_held_up_is_seen_to_be_late() -> None:
    metrics = Metrics()
    measuring = asyncio.create_task(metrics.loop_lag.run(every_s=0.001))
    await asyncio.sleep(0)

    hold_until = time.perf_counter() + 0.05
    while time.perf_counter() < hold_until:
        pass
    await asyncio.sleep(0.002)
    measuring.cancel()

    late = metrics.registry.get_sample_value("modelbridge_event_loop_lag_seconds_sum")
    assert late is not None
    assert late >= 0.04
