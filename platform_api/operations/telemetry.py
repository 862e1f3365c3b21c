"""What a process tells of itself: metrics, spans where a collector is named, names in logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bridge.call_record import CallSink
from bridge.config import ProviderConfig
from bridge.gateway import Bridge
from flows.engine_services import WalkObserver
from flows.runs import Run, StepRun
from platform_api.operations.metrics import Metrics
from platform_api.request_context import RequestTracer
from platform_api.settings import Settings
from platform_api.structured_logging import bind
from platform_api.trace_context import parsed

if TYPE_CHECKING:
    from platform_api.operations.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Of one process. Without metrics nothing is counted, without tracing nothing is imported for it."""

    metrics: Metrics | None = None
    tracing: "Tracing | None" = None

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics | None = None) -> "Telemetry":
        """As the settings say. Close it at the end."""
        if settings.otlp_endpoint is None:
            return cls(metrics)
        from platform_api.operations.tracing import Tracing  # 60 ms that nobody pays who sends no spans

        return cls(metrics, Tracing.of(settings, metrics))

    def sinks(self, providers: Mapping[str, ProviderConfig]) -> list[CallSink]:
        """Who is told of calls."""
        found: list[CallSink] = [] if self.metrics is None else [self.metrics.calls]
        if self.tracing is not None:
            from platform_api.operations.call_spans import CallSpans

            found.append(CallSpans(self.tracing, providers))
        return found

    def observers(self) -> list[WalkObserver]:
        """Who is told of runs and steps."""
        found: list[WalkObserver] = [RunLogContext()]
        if self.metrics is not None:
            found.append(self.metrics.runs)
        if self.tracing is not None:
            from platform_api.operations.run_spans import RunSpans

            found.append(RunSpans(self.tracing))
        return found

    def request_tracer(self) -> RequestTracer | None:
        """Who is told of HTTP requests; None: nobody."""
        if self.tracing is None:
            return None
        from platform_api.operations.request_spans import RequestSpans

        return RequestSpans(self.tracing)

    def trace_of_run(self, run_id: str) -> str | None:
        """The traceparent of a run that no traced request has asked for."""
        return None if self.tracing is None else self.tracing.trace_of_run(run_id)

    def watch(self, bridge: Bridge) -> None:
        """Show the health of its deployments, and tell apart the names it is configured with."""
        if self.metrics is None:
            return
        config = bridge.config
        candidates = [name for one in config.aliases.values() for name in (*one.candidates, *one.fallback)]
        self.metrics.calls.aliases.reserve(config.aliases)
        self.metrics.calls.models.reserve([*config.models, *candidates])

        def why_off() -> dict[str, str | None]:
            off = bridge.unavailable()
            return {name: off.get(name) for name in config.providers}

        self.metrics.health.watch(bridge.deployment_states, why_off)

    async def run(self) -> None:
        """Measure the event loop, for ever; ends by cancellation."""
        if self.metrics is not None:
            await self.metrics.loop_lag.run()

    async def aclose(self) -> None:
        """Send what is left."""
        if self.tracing is not None:
            await self.tracing.aclose()


class RunLogContext:
    """A WalkObserver: what is logged while a run is walked names the run, its request and its trace."""

    def walk_began(self, run: Run) -> None:
        """From here on in the walking task."""
        trace = parsed(run.traceparent)
        bind(run_id=run.id, request_id=run.request_id, trace_id=None if trace is None else trace.trace_id)

    def step_ended(self, run: Run, step: StepRun) -> None:
        """Nothing to do."""

    def walk_ended(self, run: Run, *, began_at: datetime, ended_at: datetime) -> None:
        """The task ends with the walk."""
