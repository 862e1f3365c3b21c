"""Runs, steps and events between their values (flows/runs.py) and their rows. Pure mapping."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from bridge.errors import ErrorClass
from flows.recorded_calls import RecordedCall
from flows.recordings import Recording
from flows.runs import EventKind, Lane, Run, RunEvent, RunStatus, StepError, StepRun, StepStatus
from platform_api.database.tables.flows import RecordingRow, RunEventRow, RunRow, StepRunRow
from platform_api.database.upserts import storable

Record = dict[str, Any]


def run_of(row: RunRow, org_slug: str | None = None) -> Run:
    """The run a row holds."""
    return Run(
        id=str(row.id),
        org_id=str(row.org_id),
        flow=row.flow,
        version=row.version,
        status=cast("RunStatus", row.status),
        inputs=row.inputs,
        trigger=row.trigger,
        lane=cast("Lane", row.lane),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outputs=row.outputs or {},
        errors=tuple(error_of(each) for each in row.errors or ()),
        cost_nano_usd=row.cost_nano_usd,
        epoch=row.epoch,
        owner=row.owner,
        lease_until=row.lease_until,
        is_cancel_requested=row.is_cancel_requested,
        prefect_run_id=row.prefect_run_id,
        parent_run_id=_text(row.parent_run_id),
        key_id=_text(row.key_id),
        user_id=_text(row.user_id),
        wake_at=row.wake_at,
        waiting_since=row.waiting_since,
        waited_s=row.waited_s,
        org_slug=org_slug,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


def run_outcome(run: Run) -> Record:
    """The columns the engine decides."""
    return {
        "status": run.status,
        "lane": run.lane,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "outputs": storable(run.outputs),
        "errors": [storable(error.to_json()) for error in run.errors],
        "cost_nano_usd": run.cost_nano_usd,
        "prefect_run_id": run.prefect_run_id,
        "wake_at": run.wake_at,
        "waiting_since": run.waiting_since,
        "waited_s": run.waited_s,
    }


def step_record(org_id: UUID, run_id: UUID, epoch: int, step: StepRun) -> Record:
    """The row of a step's state."""
    return {
        "org_id": org_id,
        "run_id": run_id,
        "path": step.path,
        "step": step.step,
        "type": step.type,
        "status": step.status,
        "reason": step.reason,
        "attempts": step.attempts,
        # JSON null is an output too: what is absent is told from it by the box
        "output": None if step.output is None else {"value": storable(step.output)},
        "error": storable(step.error.to_json()) if step.error else None,
        "is_error_handled": step.is_error_handled,
        "item_errors": [storable(error.to_json()) for error in step.item_errors],
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "cost_nano_usd": step.cost_nano_usd,
        "model": step.model,
        "provider": step.provider,
        "call_ids": list(step.call_ids),
        "fingerprint": step.fingerprint,
        "is_cached": step.is_cached,
        "taken": None if step.taken is None else list(step.taken),
        "epoch": epoch,
    }


def step_of(row: StepRunRow) -> StepRun:
    """The step state a row holds."""
    return StepRun(
        path=row.path,
        step=row.step,
        type=row.type,
        status=cast("StepStatus", row.status),
        reason=row.reason,
        attempts=row.attempts,
        output=None if row.output is None else row.output["value"],
        error=None if row.error is None else error_of(row.error),
        is_error_handled=row.is_error_handled,
        item_errors=tuple(error_of(each) for each in row.item_errors or ()),
        started_at=row.started_at,
        finished_at=row.finished_at,
        cost_nano_usd=row.cost_nano_usd,
        model=row.model,
        provider=row.provider,
        call_ids=tuple(cast("Sequence[str]", row.call_ids or ())),
        fingerprint=row.fingerprint,
        is_cached=row.is_cached,
        taken=None if row.taken is None else tuple(cast("Sequence[str]", row.taken)),
    )


def recording_record(org_id: UUID, run_id: UUID, recording: Recording, *, at: datetime) -> Record:
    """The row of a recording. JSON as text, for databases change the order of keys."""
    return {
        "org_id": org_id,
        "run_id": run_id,
        "path": recording.path,
        "type": recording.type,
        "digest": recording.digest,
        "given": _json_text(recording.given),
        "calls": _json_text([call.to_json() for call in recording.calls]),
        "is_whole": recording.is_whole,
        "output": recording.output_text,
        "arm": recording.arm,
        "recorded_at": at,
    }


def recording_of(row: RecordingRow) -> Recording:
    """The recording a row holds."""
    return Recording(
        path=row.path,
        type=row.type,
        digest=row.digest,
        given=json.loads(row.given),
        calls=tuple(RecordedCall.from_json(call) for call in json.loads(row.calls)),
        is_whole=row.is_whole,
        output_text=row.output,
        arm=row.arm,
    )


def event_record(org_id: UUID, event: RunEvent) -> Record:
    """The row of a stored event."""
    return {
        "org_id": org_id,
        "run_id": UUID(event.run_id),
        "seq": event.seq,
        "kind": event.kind,
        "at": event.at,
        "body": storable(event.body),
    }


def event_of(row: RunEventRow) -> RunEvent:
    """The event a row holds."""
    return RunEvent(run_id=str(row.run_id), seq=row.seq, kind=cast("EventKind", row.kind), at=row.at, body=row.body)


def error_of(raw: Mapping[str, Any]) -> StepError:
    """A stored error, back as a value."""
    return StepError(
        error_class=cast("ErrorClass", raw["class"]),
        message=raw["message"],
        node=raw["node"],
        path=raw["path"],
        attempt=raw["attempt"],
        item_index=raw["item_index"],
    )


def _json_text(value: Any) -> str:  # any JSON value
    return json.dumps(value)  # ASCII: no NUL and no half of a surrogate pair is left in it


def _text(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)
