"""What the engine itself costs: CPU per step of the inline lane, beside its goals.

    python -m benchmarks.flow_engine

Nodes do nothing (`noop`, or one small template), the run store is the in-memory one, so everything measured is the
engine's. The goals are those of the performance page:
0.3 ms CPU per step with a run store, 1,000-way fan-out within 1 s, a chain of ten within 5 ms.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.clock import SystemClock
from flows.engine_services import EngineServices
from flows.expressions import CelExpressions
from flows.inline_lane import InlineLane
from flows.plan import Block, Dependency, ForeachRule, Plan, PlanStep
from flows.run_memory import MemoryEventBus, MemoryRunStore
from flows.runs import Run
from nodes.context import ChatResult, ChatStream

ROUNDS = 15


class NoModels:
    """Nothing here asks a model."""

    async def chat(self, request: object, context: object) -> ChatResult:
        raise NotImplementedError

    def stream(self, request: object, context: object) -> ChatStream:
        raise NotImplementedError


@dataclass(frozen=True)
class Figure:
    """One shape's medians."""

    name: str
    steps: int
    cpu_ms: float
    wall_ms: float


def a_plan(*steps: PlanStep) -> Plan:
    return Plan(flow="bench", content_hash="", block=Block(steps), outputs={}, inputs_schema={"type": "object"})


def chain(n: int, *, with_expression: bool) -> Plan:
    """Steps in a row; with an expression each reads the one before."""
    steps: list[PlanStep] = []
    for index in range(n):
        before = f"s{index - 1}"
        reads = (Dependency(before, "output"),) if index else ()
        if with_expression:
            value = f"${{{{ nodes.{before}.output.text }}}}" if index else "x"
            config = {"template": "{{ v }}", "vars": {"v": value}}
            steps.append(PlanStep(id=f"s{index}", type="template", config=config, depends_on=reads))
        else:
            steps.append(PlanStep(id=f"s{index}", type="noop", config={}, depends_on=reads))
    return a_plan(*steps)


def fan(n: int) -> Plan:
    """n steps between one before and one after."""
    middle = [PlanStep(id=f"s{i}", type="noop", config={}, depends_on=(Dependency("a", "needs"),)) for i in range(n)]
    last = PlanStep(id="z", type="noop", config={}, depends_on=tuple(Dependency(s.id, "needs") for s in middle))
    return a_plan(PlanStep(id="a", type="noop", config={}), *middle, last)


def items(n: int) -> Plan:
    """One step for each of n items."""
    rule = ForeachRule(items=list(range(n)), max_parallel=100)
    return a_plan(PlanStep(id="each", type="noop", config={}, foreach=rule))


def services(store: MemoryRunStore) -> EngineServices:
    async def no_plan(org_id: str, ref: str) -> Plan:
        raise LookupError(ref)

    return EngineServices(
        models=NoModels(), expressions=CelExpressions(), store=store, bus=MemoryEventBus(), load_plan=no_plan
    )


async def measure(name: str, plan: Plan, steps: int, walk: Callable[[Plan, str], Awaitable[Run]]) -> Figure:
    """Medians over rounds; the first one warms up."""
    cpu: list[float] = []
    wall: list[float] = []
    for number in range(ROUNDS + 1):
        cpu_before, wall_before = time.process_time(), time.perf_counter()
        run = await walk(plan, f"{name}-{number}")
        assert run.status == "succeeded", run.errors
        cpu.append((time.process_time() - cpu_before) * 1000)
        wall.append((time.perf_counter() - wall_before) * 1000)
    return Figure(name, steps, statistics.median(cpu[1:]), statistics.median(wall[1:]))


async def figures() -> list[Figure]:
    """Every shape on the in-memory store."""
    clock = SystemClock()
    store = MemoryRunStore(clock)
    lane = InlineLane(services(store))

    async def walk(plan: Plan, run_id: str) -> Run:
        run = Run(
            id=run_id,
            org_id="o",
            flow=plan.flow,
            version=1,
            status="queued",
            inputs={},
            trigger="manual",
            lane="inline",
            created_at=clock.now(),
        )
        await store.create(run)
        owner = await store.acquire(run_id, "bench")
        assert owner is not None
        return await lane.execute(plan, run, owner)

    shapes = (
        ("one step", chain(1, with_expression=False), 1),
        ("chain of 10", chain(10, with_expression=False), 10),
        ("chain of 10 with expressions", chain(10, with_expression=True), 10),
        ("chain of 1000", chain(1000, with_expression=False), 1000),
        ("fan of 100", fan(100), 102),
        ("foreach over 1000", items(1000), 1000),
    )
    return [await measure(name, plan, steps, walk) for name, plan, steps in shapes]


def main() -> None:
    """Print goal and figure."""
    goals = {"chain of 10": 5.0, "chain of 10 with expressions": 5.0, "foreach over 1000": 1000.0}
    print(f"{'shape':30} {'CPU/step':>10} {'goal':>8} {'wall':>10} {'goal':>9}")
    for figure in asyncio.run(figures()):
        goal = f"{goals[figure.name]:.0f} ms" if figure.name in goals else ""
        per_step = figure.cpu_ms / figure.steps
        of_step = "0.300 ms" if figure.steps > 1 else ""  # a run of one step is mostly the run's own cost
        print(f"{figure.name:30} {per_step:7.3f} ms {of_step:>8} {figure.wall_ms:7.2f} ms {goal:>9}")


if __name__ == "__main__":
    main()
