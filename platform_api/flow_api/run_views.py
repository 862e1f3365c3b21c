"""Runs as answers: list items, details, steps in the shape of FLOWS' rule 20, events for the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from bridge.money import usd_number
from flows.runs import FINAL_RUN, Run, RunEvent
from platform_api.database.tables.flows import RunRow, StepRunRow
from platform_api.flow_api.run_repository import RunUsage
from platform_api.flow_api.schemas import RunDetail, RunItem, RunResult
from platform_api.flow_api.service import duration_ms

NOTHING = RunUsage()


def run_result(run: Run) -> RunResult:
    """The answer to a trigger."""
    return RunResult(
        run_id=run.id,
        status=run.status,
        outputs=dict(run.outputs) if run.status in FINAL_RUN else None,
        cost_usd=usd_number(run.cost_nano_usd),
        errors=[dict(error.to_json()) for error in run.errors],
    )


def run_item(row: RunRow, usage: RunUsage = NOTHING) -> RunItem:
    """A run in a list."""
    return RunItem(**_common(row, usage, row.cost_nano_usd))


def run_detail(
    row: RunRow,
    steps: Sequence[StepRunRow],
    usage: RunUsage,
    graph: Mapping[str, Any],
    outputs_elsewhere: Mapping[str, Any],
) -> RunDetail:
    """A run with its steps. While it goes on its cost is what its steps have cost so far."""
    cost = row.cost_nano_usd
    if row.status not in FINAL_RUN:
        costs = [step.cost_nano_usd for step in steps if "[" not in step.path and "." not in step.path]
        known = [each for each in costs if each is not None]
        cost = sum(known) if len(known) == len(costs) else None
    return RunDetail(
        **_common(row, usage, cost),
        inputs=row.inputs,
        outputs=row.outputs or {},
        errors=cast("list[dict[str, Any]]", row.errors or []),
        graph=dict(graph),
        steps={step.path: step_view(step, outputs_elsewhere) for step in steps},
        is_cancel_requested=row.is_cancel_requested,
        parent_run_id=None if row.parent_run_id is None else str(row.parent_run_id),
        prefect_run_id=row.prefect_run_id,
    )


def step_view(step: StepRunRow, outputs_elsewhere: Mapping[str, Any]) -> dict[str, Any]:
    """One step's state. An output that lies elsewhere and is not among `outputs_elsewhere` shows as its handle."""
    duration = None
    if step.started_at is not None and step.finished_at is not None:
        duration = round((step.finished_at - step.started_at).total_seconds() * 1000)
    return {
        "path": step.path,
        "step": step.step,
        "type": step.type,
        "status": step.status,
        "reason": step.reason,
        "attempts": step.attempts,
        "output": outputs_elsewhere.get(step.path, None if step.output is None else step.output["value"]),
        "error": step.error,
        "errors": step.item_errors or [],
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "duration_ms": duration,
        "cost_usd": usd_number(step.cost_nano_usd),
        "model": step.model,
        "provider": step.provider,
        "call_ids": step.call_ids,
        "cached": step.is_cached,
    }


def event_bytes(event: RunEvent) -> bytes:
    """The event as server-sent event."""
    event_id = f"{event.seq}.{event.part}" if event.kind == "token" else str(event.seq)
    body = orjson.dumps({**event.body, "at": event.at}, default=dict)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), event.kind.encode(), body)


def _common(row: RunRow, usage: RunUsage, cost_nano_usd: int | None) -> dict[str, Any]:
    # the ledger knows executions that were lost in a crash; the engine knows calls that are not drained yet
    cost = None if cost_nano_usd is None else max(cost_nano_usd, usage.cost_nano_usd)
    return {
        "run_id": str(row.id),
        "flow": row.flow,
        "version": row.version,
        "status": row.status,
        "trigger": row.trigger,
        "engine": row.lane,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "duration_ms": duration_ms(row),
        "cost_usd": usd_number(cost),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
