"""How late the event loop is: what a callback waits for that is due now."""

import asyncio

from prometheus_client import CollectorRegistry, Histogram

EVERY_S = 0.25
LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """Measures the loop it runs on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "modelbridge_event_loop_lag_seconds",
            "How late the event loop comes to what is due.",
            registry=registry,
            buckets=LAG_SECONDS,
        )

    async def run(self, *, every_s: float = EVERY_S) -> None:
        """Measure for ever; ends by cancellation."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + every_s
            await asyncio.sleep(every_s)
            self._seconds.observe(max(0.0, loop.time() - due_s))
