"""What observers hear of walks, in both lanes; and that calls inside steps name their request and their trace."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from flows.durable_lane import DurableLane, ScheduledBirth
from flows.engine_services import EngineServices
from flows.inline_lane import InlineLane
from flows.plan import Plan
from flows.runs import Run, StepRun
from flows.trace_place import span_id
from flows.walk import DirectCaller
from tests.support.engine import START, Engine, a_plan, a_run, failing, paid, probe

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PREFECT_RUN = UUID("0197a2b4-0000-7000-8000-00000000000a")


@dataclass
class Heard:
    """An observer that keeps what it hears."""

    said: list[str] = field(default_factory=list[str])
    ended: list[Run] = field(default_factory=list[Run])

    def walk_began(self, run: Run) -> None:
        self.said.append(f"began {run.id}")

    def step_ended(self, run: Run, step: StepRun) -> None:
        self.said.append(f"{step.path} {step.status}")

    def walk_ended(self, run: Run, *, began_at: datetime, ended_at: datetime) -> None:
        assert began_at <= ended_at
        self.said.append(f"ended {run.status}")
        self.ended.append(run)


@dataclass(frozen=True, slots=True)
class OnePlan:
    """A RunLoader that knows one plan."""

    services: EngineServices
    plan: Plan

    async def load(self, org_id: str, run_id: str) -> tuple[Run, Plan]:
        run = await self.services.store.load(run_id)
        assert run is not None
        return run, self.plan

    async def admit(self, birth: ScheduledBirth) -> str | None:
        return None


async def prepared(plan: Plan) -> tuple[Engine, EngineServices, Heard]:
    engine, heard = Engine(), Heard()
    traced = replace(a_run(plan), request_id="req-1", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    await engine.store.create(traced)
    return engine, replace(engine.services, observers=(heard,)), heard


async def walked(services: EngineServices, plan: Plan, owner: str = "me") -> Run:
    held, run = await services.store.acquire("r1", owner), await services.store.load("r1")
    assert held is not None
    assert run is not None
    return await InlineLane(services).execute(plan, run, held)


async def test_a_walk_is_told_from_its_beginning_to_its_end_and_each_step_once() -> None:
    plan = a_plan(probe("a"), failing("b", "a"), probe("c", "b"))
    _, services, heard = await prepared(plan)

    await walked(services, plan)

    assert heard.said == ["began r1", "a succeeded", "b failed", "c skipped", "ended failed"]


async def test_what_an_earlier_walk_had_done_is_not_told_again() -> None:
    plan = a_plan(probe("a"), probe("b", "a"))
    engine, services, heard = await prepared(plan)
    dead = await engine.store.acquire("r1", "dead", lease_s=0.0)
    assert dead is not None
    before = START - timedelta(seconds=9)
    done = StepRun("a", "a", "test_probe", "succeeded", started_at=before, finished_at=before, fingerprint="f-a")
    await engine.store.save_steps(dead, [done])

    await walked(services, plan)

    assert heard.said == ["began r1", "b succeeded", "ended succeeded"]


async def test_calls_of_a_step_name_its_request_and_its_place_in_the_trace() -> None:
    plan = a_plan(paid("draft", with_={"prompt": "hi"}))
    engine, services, heard = await prepared(plan)

    await walked(services, plan)

    (context,) = engine.models.contexts
    assert (context.run_id, context.step_path, context.request_id) == ("r1", "draft", "req-1")
    assert context.traceparent == f"00-{TRACE}-{span_id(heard.ended[0], 'draft')}-01"


async def test_the_durable_lane_walks_in_the_same_trace_with_the_same_spans() -> None:
    plan = a_plan(paid("draft", with_={"prompt": "hi"}))
    engine, services, heard = await prepared(plan)

    await DurableLane(OnePlan(services, plan), worker="w").walk("acme", "r1", PREFECT_RUN, DirectCaller())

    assert heard.said == ["began r1", "draft succeeded", "ended succeeded"]
    (context,) = engine.models.contexts
    assert context.traceparent == f"00-{TRACE}-{span_id(replace(heard.ended[0], lane='inline'), 'draft')}-01"
    assert context.request_id == "req-1"


async def test_calls_of_a_run_outside_of_traces_name_none() -> None:
    plan = a_plan(paid("draft", with_={"prompt": "hi"}))
    engine = Engine()

    await engine.start(plan)

    assert [one.traceparent for one in engine.models.contexts] == [None]
