"""Runs and steps as Prometheus series. Labels are bounded: node types, and the fixed words of states and lanes."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram

from flows.runs import FINAL_RUN, Run, StepRun

RUN_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
STEP_SECONDS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)


class RunMetrics:
    """A `flows.engine_services.WalkObserver` that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("modelbridge_runs_total", "Runs by end.", ("status", "lane"), registry=registry)
        self._run_seconds = Histogram(
            "modelbridge_run_seconds",
            "Duration of runs, from their first step on; waiting included.",
            ("lane",),
            registry=registry,
            buckets=RUN_SECONDS,
        )
        self._steps = Counter("modelbridge_steps_total", "Steps by end.", ("type", "status"), registry=registry)
        self._step_seconds = Histogram(
            "modelbridge_step_seconds", "Duration of steps.", ("type",), registry=registry, buckets=STEP_SECONDS
        )
        self._retries = Counter(
            "modelbridge_step_retries_total", "Further attempts at steps.", ("type",), registry=registry
        )

    def walk_began(self, run: Run) -> None:
        """Runs are counted at their end."""

    def step_ended(self, run: Run, step: StepRun) -> None:
        """Count a step."""
        self._steps.labels(step.type, step.status).inc()
        if step.started_at is not None and step.finished_at is not None:
            self._step_seconds.labels(step.type).observe((step.finished_at - step.started_at).total_seconds())
        if step.attempts > 1:
            self._retries.labels(step.type).inc(step.attempts - 1)

    def walk_ended(self, run: Run, *, began_at: datetime, ended_at: datetime) -> None:
        """Count a run that has reached its final status; one that waits comes again."""
        if run.status in FINAL_RUN and run.started_at is not None and run.finished_at is not None:
            self._runs.labels(run.status, run.lane).inc()
            self._run_seconds.labels(run.lane).observe((run.finished_at - run.started_at).total_seconds())
