"""Runs and their steps as spans: one span a walk, the steps below it as they are nested in the flow.

A run that a request has asked for is in that request's trace; any other is a trace of its own. A run that waits, or
that another process goes on with, is walked more than once: each walk is a span of the same trace.

Source: OpenTelemetry semantic conventions for generative AI, operation `invoke_workflow`.
"""

from datetime import datetime

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from bridge.money import usd_number
from flows.runs import Run, StepRun
from flows.trace_place import parent_path, span_id
from platform_api.operations.tracing import Span, Tracing
from platform_api.trace_context import TraceContext, parsed, trace_id_of_run

WORKFLOW = "invoke_workflow"


class RunSpans:
    """A `flows.engine_services.WalkObserver` that tells of runs as spans."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def walk_began(self, run: Run) -> None:
        """The span is made at the end."""

    def step_ended(self, run: Run, step: StepRun) -> None:
        """A step that was never begun has no span."""
        trace = parsed(run.traceparent)
        if trace is None or step.started_at is None or step.finished_at is None:
            return
        span = Span(
            name=f"step {step.step}",
            place=TraceContext(trace.trace_id, span_id(run, step.path), trace.is_sampled),
            parent_id=span_id(run, parent_path(step.path)),
            started_at=step.started_at,
            ended_at=step.finished_at,
            attributes={
                ERROR_TYPE: step.error.error_class if step.error is not None else None,
                "modelbridge.run.id": run.id,
                "modelbridge.flow": run.flow,
                "modelbridge.step.path": step.path,
                "modelbridge.step.type": step.type,
                "modelbridge.step.status": step.status,
                "modelbridge.step.attempts": step.attempts,
                "modelbridge.step.is_cached": step.is_cached or None,
                "modelbridge.cost_usd": usd_number(step.cost_nano_usd),
            },
            has_failed=step.status == "failed",
        )
        self._tracing.record(span)

    def walk_ended(self, run: Run, *, began_at: datetime, ended_at: datetime) -> None:
        """One walk over the run is over."""
        trace = parsed(run.traceparent)
        if trace is None:
            return
        is_own = trace.trace_id == trace_id_of_run(run.id)
        span = Span(
            name=f"{WORKFLOW} {run.flow}",
            place=TraceContext(trace.trace_id, span_id(run), trace.is_sampled),
            parent_id=None if is_own else trace.span_id,
            started_at=began_at,
            ended_at=ended_at,
            attributes={
                gen_ai.GEN_AI_OPERATION_NAME: WORKFLOW,
                gen_ai.GEN_AI_WORKFLOW_NAME: run.flow,
                ERROR_TYPE: run.errors[0].error_class if run.errors and run.status == "failed" else None,
                "modelbridge.run.id": run.id,
                "modelbridge.flow": run.flow,
                "modelbridge.flow.version": run.version,
                "modelbridge.run.status": run.status,
                "modelbridge.run.lane": run.lane,
                "modelbridge.run.trigger": run.trigger,
                "modelbridge.run.epoch": run.epoch,
                "modelbridge.org.id": run.org_id,
                "modelbridge.request.id": run.request_id,
                "modelbridge.cost_usd": usd_number(run.cost_nano_usd),
            },
            has_failed=run.status == "failed",
        )
        self._tracing.record(span)
