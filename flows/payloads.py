"""Big outputs of steps travel as handles: the row holds where they are, the artifact store what they are.

An output of more than OFFLOAD_BYTES is stored by its content before the row that names it, so that any worker that can
reach the store goes on with the run.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from bridge.json_types import JsonObject, JsonValue
from flows.recordings import Recording
from flows.runs import Run, RunEvent, RunOwner, RunStore, StepRun
from nodes.artifacts import HANDLE, MAX_ARTIFACT_BYTES, ArtifactStore
from nodes.errors import InvalidInputError

OFFLOAD_BYTES = 32 * 1024
MARK = "$artifact"
_ENDED = frozenset({"succeeded", "failed"})
_SMALL_PARTS = 512
"""An output of so few parts with so few characters is not worth measuring exactly."""


def check_size(output: JsonValue) -> None:
    """Refuse an output that is too big to be kept. Raises InvalidInputError."""
    if is_small(output):
        return
    size = len(encoded(output))
    if size > MAX_ARTIFACT_BYTES:
        raise InvalidInputError(
            f"the output has {size} bytes as JSON, at most {MAX_ARTIFACT_BYTES} are kept: return less of it"
        )


def is_small(output: JsonValue) -> bool:
    """Is the JSON of it surely no longer than OFFLOAD_BYTES? Told without writing it."""
    room, parts = OFFLOAD_BYTES // 6, _SMALL_PARTS  # a character takes six bytes at most, escaped
    waiting: list[JsonValue] = [output]
    while waiting:
        value = waiting.pop()
        parts -= 1
        if isinstance(value, str):
            room -= len(value) + 1
        elif isinstance(value, Mapping):
            room -= sum(len(key) + 1 for key in value)
            waiting += value.values()
        elif isinstance(value, Sequence):
            waiting += value
        else:
            room -= 5
        if room < 0 or parts < len(waiting):
            return False
    return True


def encoded(output: JsonValue) -> bytes:
    """The output as JSON."""
    return json.dumps(output, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class OffloadingRunStore:
    """A run store whose big outputs lie in an artifact store. Whoever reads steps through it sees them whole."""

    def __init__(self, store: RunStore, artifacts: ArtifactStore) -> None:
        self._store = store
        self._artifacts = artifacts

    async def load(self, run_id: str) -> Run | None:
        return await self._store.load(run_id)

    async def steps(self, run_id: str) -> Sequence[StepRun]:
        steps = await self._store.steps(run_id)
        if not any(stored_elsewhere(step.status, step.output) for step in steps):
            return steps
        org_id = await self._org_of(run_id)
        return [await self._whole(org_id, step) for step in steps]

    async def recordings(self, run_id: str) -> Sequence[Recording]:
        return await self._store.recordings(run_id)

    async def acquire(self, run_id: str, owner: str, *, lease_s: float = 30.0) -> RunOwner | None:
        return await self._store.acquire(run_id, owner, lease_s=lease_s)

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        return await self._store.renew(owner, lease_s=lease_s)

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        if any(_is_offloaded(step) for step in steps):
            org_id = await self._org_of(owner.run_id)
            steps = [await self._as_handle(org_id, step) for step in steps]
        return await self._store.save_steps(owner, steps)

    async def save_run(self, owner: RunOwner, run: Run) -> Sequence[RunEvent]:
        return await self._store.save_run(owner, run)

    async def request_cancel(self, org_id: str, run_id: str) -> bool:
        return await self._store.request_cancel(org_id, run_id)

    async def is_cancel_requested(self, run_id: str) -> bool:
        return await self._store.is_cancel_requested(run_id)

    async def events(self, run_id: str, *, after_seq: int = 0) -> Sequence[RunEvent]:
        return await self._store.events(run_id, after_seq=after_seq)

    async def _org_of(self, run_id: str) -> str:
        run = await self._store.load(run_id)
        if run is None:
            raise LookupError(f"there is no run {run_id}")
        return run.org_id

    async def _as_handle(self, org_id: str, step: StepRun) -> StepRun:
        if not _is_offloaded(step):
            return step
        content = await asyncio.to_thread(encoded, step.output)
        if len(content) <= OFFLOAD_BYTES and not _looks_like_handle(step.output):
            return step
        handle: JsonObject = {MARK: await self._artifacts.put(org_id, content), "bytes": len(content)}
        return replace(step, output=handle)

    async def _whole(self, org_id: str, step: StepRun) -> StepRun:
        place = stored_elsewhere(step.status, step.output)
        if place is None:
            return step
        content = await self._artifacts.get(org_id, place.handle)
        return replace(step, output=cast("JsonValue", await asyncio.to_thread(json.loads, content)))


def _is_offloaded(step: StepRun) -> bool:
    """Might its output have to go? One that looks like a handle does too, so that every stored one is a handle."""
    return step.status in _ENDED and (_looks_like_handle(step.output) or not is_small(step.output))


def _looks_like_handle(output: JsonValue) -> bool:
    return isinstance(output, Mapping) and MARK in output


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output lies, and how long it is as JSON."""

    handle: str
    n_bytes: int


def stored_elsewhere(status: str, output: JsonValue) -> Place | None:
    """Where the output of a stored step lies, if it lies in the artifact store."""
    if status not in _ENDED or not isinstance(output, Mapping):
        return None
    handle, n_bytes = output.get(MARK), output.get("bytes")
    if not isinstance(handle, str) or not isinstance(n_bytes, int) or HANDLE.fullmatch(handle) is None:
        return None
    return Place(handle, n_bytes)
