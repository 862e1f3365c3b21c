"""A worker's metrics over HTTP."""

import httpx

from platform_api.operations.metrics import Metrics
from platform_api.operations.metrics_server import serving_metrics


async def test_metrics_are_shown_at_a_port_of_their_own() -> None:
    metrics = Metrics()
    metrics.spans_exported("sent", 3)

    async with serving_metrics(metrics, "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert 'modelbridge_spans_total{outcome="sent"} 3.0' in answer.text


async def test_a_port_that_is_taken_is_no_reason_not_to_work() -> None:
    async with (
        serving_metrics(Metrics(), "127.0.0.1", 0) as taken,
        serving_metrics(Metrics(), "127.0.0.1", taken or 0) as none_left,
    ):
        assert none_left is None
