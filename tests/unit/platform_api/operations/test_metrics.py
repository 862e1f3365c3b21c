"""The list of metric names and what is exposed are the same."""

import re

from platform_api.operations.metrics import METRIC_NAMES, Metrics


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
