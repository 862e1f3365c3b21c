"""The durable lane on a real Prefect API and real worker processes: edges, kills, stops, cancels.

That both lanes end alike, with one task run for every step, is shown by tests/conformance.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from prefect.client.orchestration import PrefectClient

from flows.prefect_deployments import FlowSchedule, PrefectDeployments
from flows.prefect_server import PrefectServer, client_environment
from flows.runs import FINAL_RUN, Run
from tests.support.durable_worker import LIMITS, PLANS, FileRunStore
from tests.support.engine import a_run

T = TypeVar("T")

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Prefect API of this module's own."""
    home = tmp_path_factory.mktemp("prefect")
    for parent in (home, *list(home.parents)[:2]):
        parent.chmod(0o755)  # PostgreSQL runs as another user
    server = PrefectServer(home)
    await server.start()
    try:
        await server.wait_until_ready()
        yield server.api_url
    finally:
        await server.stop()


@dataclass
class Stage:
    """A folder with the run store, a pool of its own, and the means to start workers for it."""

    folder: Path
    api_url: str
    pool: str
    deployments: PrefectDeployments
    client: Any
    """Prefect's own client; its types are partly unknown."""

    def __post_init__(self) -> None:
        self.store = FileRunStore(self.folder)
        self.triggered: dict[str, str] = {}

    @contextmanager
    def worker(self, name: str) -> Generator[subprocess.Popen[bytes]]:
        """A worker process that takes runs; killed at the end, should it still live."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.durable_worker", str(self.folder), self.api_url, self.pool, name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=client_environment(self.api_url, self.folder / "prefect-home"),
            )
        try:
            deadline = time.monotonic() + 60
            while not (self.folder / f"{name}.ready").exists():
                assert process.poll() is None, (self.folder / f"{name}.log").read_text()
                assert time.monotonic() < deadline, (self.folder / f"{name}.log").read_text()
                time.sleep(0.05)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    async def trigger(self, run_id: str, flow: str | None = None, *, attempt: int = 0) -> str:
        """Enter a run, unless it is there, and hand it to Prefect."""
        if flow is not None:
            await self.store.create(a_run(PLANS[flow], run_id=run_id))
        self.triggered[run_id] = await self.deployments.trigger(
            run_id, "acme", attempt_key=f"{self.pool}:{run_id}:{attempt}"
        )
        return self.triggered[run_id]

    async def ended(self, run_id: str, *, within_s: float = 40) -> Run:
        """The run once it is final."""

        async def look() -> Run | None:
            run = await self.store.load(run_id)
            return run if run is not None and run.status in FINAL_RUN else None

        return await eventually(look, within_s=within_s)

    async def prefect_state(self, run_id: str) -> Any:
        """The state of its Prefect run once that is final."""

        async def look() -> Any:
            state = (await self.client.read_flow_run(self.triggered[run_id])).state
            return state if state is not None and state.is_final() else None

        return await eventually(look, within_s=20)

    async def task_runs(self, run_id: str, count: int) -> dict[str, str]:
        """Its task runs by name, with their state's type; waits until `count` are final."""
        from prefect.client.schemas.filters import FlowRunFilter

        wanted = FlowRunFilter.model_validate({"id": {"any_": [self.triggered[run_id]]}})

        async def look() -> dict[str, str] | None:
            runs = await self.client.read_task_runs(flow_run_filter=wanted)
            names = Counter(run.name for run in runs)
            assert not names or max(names.values()) == 1, names
            final = {run.name: run.state.type.value for run in runs if run.state is not None and run.state.is_final()}
            return final if len(final) >= count else None

        return await eventually(look, within_s=20)

    def calls(self, run_id: str) -> list[str]:
        """Prompts of the paid calls made so far."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{run_id} ")]

    async def called(self, run_id: str, prompt: str) -> None:
        """Return once `prompt` was asked."""

        async def look() -> bool | None:
            return prompt in self.calls(run_id) or None

        await eventually(look, within_s=30)


async def eventually(look: Callable[[], Awaitable[T | None]], *, within_s: float) -> T:
    """What `look` finds, once it finds something."""
    async with asyncio.timeout(within_s):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture
async def stage(prefect_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    pool = f"pool-{abs(hash(request.node.nodeid)) % 10**8}"
    async with PrefectDeployments(prefect_url, pool=pool) as deployments, PrefectClient(prefect_url) as client:
        await deployments.ensure_deployment()
        yield Stage(tmp_path, prefect_url, pool, deployments, client)


async def test_edges_in_prefect_are_the_dependencies_and_nothing_else(stage: Stage) -> None:
    with stage.worker("w1"):
        await stage.trigger("r", "chain")
        await stage.ended("r")
        await stage.task_runs("r", 3)
        runs = await stage.client.read_task_runs()
        names = {run.id: run.name for run in runs}
        edges = {
            (names[upstream.id], run.name)
            for run in runs
            if str(run.flow_run_id) == stage.triggered["r"]
            for group in run.task_inputs.values()
            for upstream in group
            if upstream.input_type == "task_run"
        }

    assert edges == {("first", "second"), ("second", "last")}


async def killed_and_continued(stage: Stage, flow: str) -> Run:
    """The run, whose first worker is killed within the call `slow` and whose second one ends it."""
    (stage.folder / "hold").touch()
    with stage.worker("w1") as first:
        await stage.trigger("r", flow)
        await stage.called("r", "slow")
        first.kill()
        first.wait()
    (stage.folder / "hold").unlink()
    await asyncio.sleep(LIMITS.lease_s)

    with stage.worker("w2"):
        await stage.trigger("r", attempt=1)
        return await stage.ended("r")


async def test_a_killed_workers_run_is_continued_without_repeating_paid_steps(stage: Stage) -> None:
    run = await killed_and_continued(stage, "slow")

    assert (run.status, dict(run.outputs), run.epoch) == ("succeeded", {"text": "re: c"}, 2)
    assert stage.calls("r") == ["a", "b", "slow", "slow", "c"]


async def test_a_loop_whose_worker_is_killed_in_a_pass_goes_on_in_that_pass(stage: Stage) -> None:
    run = await killed_and_continued(stage, "looping")

    assert (run.status, dict(run.outputs)) == ("succeeded", {"state": {"n": 4, "text": "re: pass 3"}, "passes": 4})
    assert stage.calls("r") == ["pass 0", "pass 1", "slow", "slow", "pass 3"]
    assert run.cost_nano_usd == 4000


async def test_a_worker_that_slept_beyond_its_lease_writes_nothing_when_it_wakes(stage: Stage) -> None:
    (stage.folder / "hold").touch()
    with stage.worker("w1") as sleeper:
        await stage.trigger("r", "slow")
        await stage.called("r", "slow")
        sleeper.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LIMITS.lease_s + 0.2)
        taken = await stage.store.acquire("r", "somebody else", lease_s=60)
        assert taken is not None
        before = (await stage.store.load("r"), await stage.store.steps("r"), await stage.store.events("r"))
        (stage.folder / "hold").unlink()
        sleeper.send_signal(signal.SIGCONT)
        state = await stage.prefect_state("r")
        after = (await stage.store.load("r"), await stage.store.steps("r"), await stage.store.events("r"))

    assert after == before
    assert "c" not in stage.calls("r")
    assert (state.type.value, state.message) == ("CANCELLED", "another worker took the run over")


@pytest.mark.parametrize("through", ["our row", "Prefect"])
async def test_a_cancel_reaches_a_running_step_and_finally_runs(stage: Stage, through: str) -> None:
    (stage.folder / "hold").touch()
    with stage.worker("w1"):
        await stage.trigger("r", "slow")
        await stage.called("r", "slow")
        if through == "our row":
            assert await stage.store.request_cancel("acme", "r")
        else:
            assert await stage.deployments.cancel(stage.triggered["r"])
        run = await stage.ended("r", within_s=5)
        state = await stage.prefect_state("r")
        task_runs = await stage.task_runs("r", 4)

    steps = {step.path: step.status for step in await stage.store.steps("r")}
    assert (run.status, state.type.value) == ("cancelled", "CANCELLED")
    assert steps == {"a": "succeeded", "b": "succeeded", "slow": "cancelled", "c": "cancelled", "audit": "succeeded"}
    assert task_runs == {"a": "COMPLETED", "b": "COMPLETED", "slow": "CANCELLED", "audit": "COMPLETED"}


async def test_a_run_cancelled_before_a_worker_takes_it_never_calls_anybody(stage: Stage) -> None:
    await stage.trigger("r", "slow")
    await stage.store.request_cancel("acme", "r")
    with stage.worker("w1"):
        run = await stage.ended("r")

    assert (run.status, stage.calls("r")) == ("cancelled", [])


async def test_sigterm_gives_a_run_back_and_the_next_worker_continues_it(stage: Stage) -> None:
    (stage.folder / "hold").touch()
    with stage.worker("w1") as first:
        await stage.trigger("r", "slow")
        await stage.called("r", "slow")
        first.terminate()
        assert await asyncio.to_thread(first.wait, 20) == 0
    given_back = await stage.store.load("r")
    state = await stage.prefect_state("r")
    (stage.folder / "hold").unlink()
    with stage.worker("w2"):
        await stage.trigger("r", attempt=1)
        run = await stage.ended("r")

    assert given_back is not None
    assert (given_back.status, given_back.owner, given_back.prefect_run_id) == ("queued", None, None)
    assert state.type.value == "CANCELLED"
    assert (run.status, stage.calls("r")) == ("succeeded", ["a", "b", "slow", "slow", "c"])


async def test_the_same_attempt_key_triggers_once(stage: Stage) -> None:
    first = await stage.trigger("r", "chain")

    assert await stage.trigger("r") == first


async def test_schedules_are_kept_exactly_and_a_scheduled_run_asks_for_admission(stage: Stage) -> None:
    daily = FlowSchedule(id="s1", org_id="acme", flow="chain", cron="0 7 * * 1-5", timezone="Europe/Berlin")
    hourly = FlowSchedule(id="s2", org_id="acme", flow="chain", cron="0 * * * *", is_paused=True)
    await stage.deployments.apply_schedules([daily, hourly])
    await stage.deployments.apply_schedules([daily])
    deployment = await stage.client.read_deployment_by_name(f"modelbridge/{stage.pool}-scheduled")

    with stage.worker("w1"):
        for schedule in (daily, FlowSchedule(id="s3", org_id="acme", flow="unknown", cron="0 7 * * *")):
            made = await stage.client.create_flow_run_from_deployment(deployment.id, parameters=schedule.parameters())
            stage.triggered[schedule.id] = str(made.id)
        run = await stage.ended("s1-slot")
        refused = await stage.prefect_state("s3")

    assert [(one.slug, one.active, one.schedule.cron) for one in deployment.schedules] == [("s1", True, "0 7 * * 1-5")]
    assert run.status == "succeeded"
    assert (refused.type.value, refused.name) == ("COMPLETED", "Queued")


async def test_the_zombie_rule_is_made_once(stage: Stage) -> None:
    await stage.deployments.ensure_zombie_automation()
    await stage.deployments.ensure_zombie_automation()

    rules = await stage.client.read_automations()

    assert len([rule for rule in rules if rule.name.startswith("modelbridge")]) == 1
