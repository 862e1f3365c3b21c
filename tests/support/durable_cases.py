"""Conformance cases on the durable lane: triggered through Prefect, walked by a real worker, told in a file.

python -m tests.support.durable_cases FOLDER API_URL    with FOLDER/names.json; writes FOLDER/walked.pickle
"""

import asyncio
import json
import logging
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.clock import SystemClock
from flows.engine_services import EngineLimits, EngineServices
from flows.expressions import CelExpressions
from flows.plan import Plan
from flows.prefect_server import prepare_process
from flows.run_memory import MemoryEventBus, MemoryOutcomeCache, MemoryRunStore
from flows.runs import FINAL_RUN, Run, RunEvent, StepRun
from nodes.node import node_types
from tests.support.conformance import Case, CaseAnswers, CaseModels, running_cases
from tests.support.engine import a_run

if TYPE_CHECKING:
    from flows.durable_lane import ScheduledBirth

POOL = "conformance"
AT_ONCE = 16
LIMIT_S = 400.0


@dataclass(frozen=True, slots=True)
class Walked:
    """How a case ended, and its run in Prefect."""

    run: Run
    steps: tuple[StepRun, ...]
    events: tuple[RunEvent, ...]
    prefect_run_ids: tuple[str, ...]
    """One, and one more for every time it had waited."""


@dataclass(frozen=True, slots=True)
class DurableCase:
    """How a case ended on the durable lane, and what Prefect says of it."""

    walked: Walked
    task_runs: Mapping[str, str]
    """Name -> type of the final state, the last one of a step that waited; WAITING when it was not asked again."""
    state: str
    """Of the last flow run."""


def executed(steps: Sequence[StepRun]) -> dict[str, StepRun]:
    """The steps that began, by path: each is one task run."""
    return {step.path: step for step in steps if step.started_at is not None}


class CaseLoader:
    """A RunLoader over the cases; run ids are their names."""

    def __init__(self, cases: dict[str, Case]) -> None:
        self._cases = cases
        clock = SystemClock()
        self.store = MemoryRunStore(clock)
        self.answers = CaseAnswers(clock, {name: case.answers for name, case in cases.items()})
        self.services = EngineServices(
            models=CaseModels(),
            expressions=CelExpressions(),
            store=self.store,
            bus=MemoryEventBus(),
            load_plan=self._no_plan,
            cache=MemoryOutcomeCache(clock),
            answers=self.answers,
            limits=EngineLimits(lease_s=120.0, flush_after_s=0.02),
            node_types=node_types(),
        )

    async def load(self, org_id: str, run_id: str) -> tuple[Run, Plan]:
        run = await self.store.load(run_id)
        if run is None or run.org_id != org_id:
            raise LookupError(run_id)
        return run, self._cases[run_id].plan

    async def admit(self, birth: "ScheduledBirth") -> str | None:
        raise LookupError(birth.schedule_id)

    async def _no_plan(self, org_id: str, ref: str) -> Plan:
        raise LookupError(f"{org_id} {ref}")

    async def walked(self, name: str, prefect_run_ids: tuple[str, ...]) -> Walked:
        """How the case ended."""
        run = await self.store.load(name)
        assert run is not None
        steps, events = await self.store.steps(name), await self.store.events(name)
        return Walked(run, tuple(steps), tuple(events), prefect_run_ids)


async def walk_all(cases: dict[str, Case], api_url: str) -> dict[str, Walked]:
    """Trigger every case and wait until all have ended."""
    from flows.prefect_deployments import PrefectDeployments
    from flows.warm_worker import run_worker

    loader, stop = CaseLoader(cases), asyncio.Event()
    triggered: dict[str, tuple[str, ...]] = {}
    async with PrefectDeployments(api_url, pool=POOL) as deployments:
        await deployments.ensure_deployment()
        working = asyncio.create_task(run_worker(loader, pool=POOL, name="w", max_runs=AT_ONCE, grace_s=0.5, stop=stop))
        for name, case in cases.items():
            await loader.store.create(a_run(case.plan, case.inputs, run_id=name))
            triggered[name] = (await deployments.trigger(name, "acme", attempt_key=name),)
        async with asyncio.timeout(LIMIT_S):
            waiting = set(cases)
            while waiting and not working.done():
                await asyncio.sleep(0.1)
                runs = [run for name in waiting if (run := await loader.store.load(name)) is not None]
                waiting -= {run.id for run in runs if run.status in FINAL_RUN}
                for run in runs:
                    if _is_put_aside(run) and (loader.answers.give(run.id) or _is_due(run)):
                        again = await deployments.trigger(run.id, "acme", attempt_key=f"{run.id}:{run.epoch}")
                        triggered[run.id] = tuple(dict.fromkeys((*triggered[run.id], again)))
        stop.set()
        await working
    return {name: await loader.walked(name, prefect_run_ids) for name, prefect_run_ids in triggered.items()}


def _is_due(run: Run) -> bool:
    return run.wake_at is not None and run.wake_at <= SystemClock().now()


def _is_put_aside(run: Run) -> bool:
    return run.status == "waiting" and run.owner is None


def main() -> None:
    """Walk the named cases."""
    folder, api_url = Path(sys.argv[1]), sys.argv[2]
    logging.basicConfig(level=logging.WARNING)
    prepare_process(api_url, folder / "prefect-home")
    names = set(json.loads((folder / "names.json").read_text()))
    walked = asyncio.run(walk_all({case.name: case for case in running_cases() if case.name in names}, api_url))
    (folder / "walked.pickle").write_bytes(pickle.dumps(walked))


if __name__ == "__main__":
    from tests.support import durable_cases  # what is pickled is to carry the module's own name

    durable_cases.main()
