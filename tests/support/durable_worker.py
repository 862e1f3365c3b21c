"""A worker process for tests of the durable lane: a run store in a file, scripted models that count into a file.

python -m tests.support.durable_worker FOLDER API_URL POOL NAME
"""

import asyncio
import fcntl
import logging
import pickle
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.clock import SystemClock
from flows.engine_services import EngineLimits, EngineServices
from flows.expressions import CelExpressions
from flows.plan import Block, Plan
from flows.prefect_server import prepare_process
from flows.run_memory import MemoryEventBus, MemoryRunStore
from flows.runs import Run, RunEvent, RunOwner, StepRun
from nodes.context import ChatResult
from nodes.node import node_types
from tests.support.engine import ScriptedModels, a_plan, a_step, paid, probe, reads

if TYPE_CHECKING:
    from collections.abc import Generator

    from flows.durable_lane import ScheduledBirth

LIMITS = EngineLimits(lease_s=4.0, renew_every_s=0.5, cancel_poll_s=0.2, flush_after_s=0.02)

PLANS: dict[str, Plan] = {
    plan.flow: plan
    for plan in (
        a_plan(
            paid("first", with_={"prompt": "one"}),
            paid(
                "second",
                "first",
                with_={"prompt": "${{ 'two ' + nodes.first.output.text }}"},
                depends_on=[reads("first")],
            ),
            probe("never", "second", when="${{ false }}"),
            probe("last", "second", with_={"value": "${{ nodes.second.output.text }}"}, depends_on=[reads("second")]),
            flow="chain",
            outputs={"text": "${{ nodes.last.output.value }}"},
        ),
        a_plan(
            a_step(
                "again",
                "loop",
                with_={"state": {"n": 0, "text": ""}, "until": "state.n > 3", "max": 9},
                body=Block(
                    (
                        paid("ask", with_={"prompt": "${{ state.n == 2 ? 'slow' : 'pass ' + string(state.n) }}"}),
                        a_step(
                            "next",
                            "transform",
                            with_={"map": {"n": "state.n + 1", "text": "nodes.ask.output.text"}},
                            depends_on=[reads("ask")],
                        ),
                    ),
                    final="next",
                ),
            ),
            flow="looping",
            outputs={"state": "${{ nodes.again.output.state }}", "passes": "${{ nodes.again.output.iterations }}"},
        ),
        a_plan(
            paid("a", with_={"prompt": "a"}),
            paid("b", "a", with_={"prompt": "b"}),
            paid("slow", "b", with_={"prompt": "slow"}),
            paid("c", "slow", with_={"prompt": "c"}),
            finally_steps=(probe("audit"),),
            flow="slow",
            outputs={"text": "${{ nodes.c.output.text }}"},
        ),
    )
}


class FileRunStore:
    """The in-memory store, kept in a file between calls and guarded by a lock: shared by processes."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "runs.pickle"
        self._lock = folder / "runs.lock"

    @contextmanager
    def _open(self) -> "Generator[MemoryRunStore]":
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            store = pickle.loads(self._file.read_bytes()) if self._file.exists() else MemoryRunStore(SystemClock())
            yield store
            fresh = self._file.with_suffix(".new")
            fresh.write_bytes(pickle.dumps(store))
            fresh.rename(self._file)

    async def create(self, run: Run) -> None:
        with self._open() as store:
            await store.create(run)

    async def load(self, run_id: str) -> Run | None:
        with self._open() as store:
            return await store.load(run_id)

    async def steps(self, run_id: str) -> Sequence[StepRun]:
        with self._open() as store:
            return await store.steps(run_id)

    async def acquire(self, run_id: str, owner: str, *, lease_s: float = 30.0) -> RunOwner | None:
        with self._open() as store:
            return await store.acquire(run_id, owner, lease_s=lease_s)

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        with self._open() as store:
            return await store.renew(owner, lease_s=lease_s)

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        with self._open() as store:
            return await store.save_steps(owner, steps)

    async def save_run(self, owner: RunOwner, run: Run) -> Sequence[RunEvent]:
        with self._open() as store:
            return await store.save_run(owner, run)

    async def request_cancel(self, org_id: str, run_id: str) -> bool:
        with self._open() as store:
            return await store.request_cancel(org_id, run_id)

    async def is_cancel_requested(self, run_id: str) -> bool:
        with self._open() as store:
            return await store.is_cancel_requested(run_id)

    async def events(self, run_id: str, *, after_seq: int = 0) -> Sequence[RunEvent]:
        with self._open() as store:
            return await store.events(run_id, after_seq=after_seq)


class CountingModels(ScriptedModels):
    """Writes every paid call into a file before it answers; the prompt `slow` waits while `hold` exists."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        prompt = request.messages[-1].text
        with (self._folder / "calls").open("a") as calls:
            calls.write(f"{context.run_id} {prompt}\n")
        while prompt == "slow" and (self._folder / "hold").exists():
            await asyncio.sleep(0.02)
        return await super().chat(request, context)


class Loader:
    """Finds runs in the file and plans in PLANS."""

    def __init__(self, folder: Path) -> None:
        self.store = FileRunStore(folder)
        self.services = services(self.store, CountingModels(folder))

    async def load(self, org_id: str, run_id: str) -> tuple[Run, Plan]:
        run = await self.store.load(run_id)
        if run is None or run.org_id != org_id:
            raise LookupError(f"no run {run_id}")
        return run, PLANS[run.flow]

    async def admit(self, birth: "ScheduledBirth") -> str | None:
        from tests.support.engine import a_run

        if birth.flow not in PLANS:
            return None
        run_id = f"{birth.schedule_id}-slot"
        await self.store.create(a_run(PLANS[birth.flow], run_id=run_id))
        return run_id


def services(store: Any, models: ScriptedModels) -> EngineServices:
    """The same services in both lanes."""

    async def no_plan(org_id: str, ref: str) -> Plan:
        raise LookupError(f"{org_id} {ref}")

    return EngineServices(
        models=models,
        expressions=CelExpressions(),
        store=store,
        bus=MemoryEventBus(),
        load_plan=no_plan,
        limits=LIMITS,
        node_types=node_types(),
    )


def main() -> None:
    """Run the worker until SIGTERM."""
    folder, api_url, pool, name = Path(sys.argv[1]), *sys.argv[2:5]
    logging.basicConfig(level=logging.INFO)
    prepare_process(api_url, folder / "prefect-home")
    from flows.warm_worker import run_worker

    asyncio.run(run_worker(Loader(folder), pool=pool, name=name, grace_s=0.5, ready_file=folder / f"{name}.ready"))


if __name__ == "__main__":
    main()
