"""What a routing decision costs: CPU per call of ask, snapshot and decide, beside its goals.

    python -m benchmarks.routing

Twelve deployments with measured health, the routes of a real configuration, no provider called. The goals: 60 us for
a decision of a simple policy, 100 us for question, snapshot and decision together. Exits 1 when one is missed by more
than `ALLOWED`: the machine is shared, a figure is the median of rounds.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from bridge.call_record import AttemptRecord, CallContext
from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, Message, Policy, RoutingOverrides, Usage
from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.decision import RoutingQuestion, Snapshot
from bridge.identifiers import new_id
from bridge.learning.quality import PriorQuality
from bridge.reliability.health_book import HealthBook
from bridge.routing.intents import Intents
from bridge.routing.observed_usage import ObservedUsage
from bridge.routing.policy import decide
from bridge.routing.questions import Questions, RequestFacts
from bridge.snapshots import Snapshots, Sources

ROUNDS, CALLS = 15, 200
DECIDE_GOAL_US, WHOLE_GOAL_US = 60.0, 100.0
ALLOWED = 1.4
SIMPLE = ("priority", "weighted", "round_robin", "least_busy", "cheapest", "fastest", "latency", "cascade")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONTEXT = CallContext(org_id="acme")
TWELVE = [f"mock/model-{number}" for number in range(12)]


@dataclass(frozen=True)
class Figure:
    """One policy's medians, in microseconds of CPU."""

    policy: str
    ask_us: float
    snapshot_us: float
    decide_us: float

    @property
    def whole_us(self) -> float:
        return self.ask_us + self.snapshot_us + self.decide_us


class Bench:
    """The router's parts over twelve mock models."""

    def __init__(self) -> None:
        config = configuration()
        clock = FrozenClock(NOW)
        self._aliases = Aliases(config, ModelCatalog(config, today=NOW.date()), Deployments(config))
        self._questions = Questions(Prices(), config.defaults)
        health, usage = HealthBook(config.breaker, random.Random(1)), ObservedUsage()
        feed(health, usage, clock)
        self._snapshots = Snapshots(Sources(health, PriorQuality(), usage, Intents(), clock))
        self._number = 0

    def route(self, policy: Policy) -> Route:
        name = policy if policy in ("semantic", "experiment") else "twelve"
        return self._aliases.resolve(name, RoutingOverrides(policy=policy))

    def ask(self, route: Route) -> RoutingQuestion:
        self._number += 1
        text = f"Summarise ticket {self._number} in two sentences: the printer is on fire again."
        self.request = ChatRequest("twelve", (Message.of("system", "Be brief."), Message.of("user", text)))
        return self._questions.ask(self.request, route, RequestFacts("triage", False, False, 200, NOW, unit=text))

    def snapshot(self, route: Route, question: RoutingQuestion) -> Snapshot:
        return self._snapshots.take(route, question, self.request, CONTEXT)


def configuration() -> BridgeConfig:
    """Twelve priced models, one alias of them, one with intents and one with arms."""
    models = {
        name: {
            "input_usd_per_mtok": 0.1 + 0.01 * number,
            "output_usd_per_mtok": 0.4 + 0.05 * number,
            "quality": 0.5 + 0.03 * number,
            "context_window": 128_000,
            "regions": ["eu-west-1" if number % 2 else "us-east-1"],
        }
        for number, name in enumerate(TWELVE)
    }
    intents = {"code": {"examples": ["write a function", "fix this bug"], "candidates": TWELVE[:2]}}
    aliases = {
        "twelve": {"candidates": TWELVE, "geo": {"home": "eu"}},
        "semantic": {"candidates": TWELVE, "policy": "semantic", "intents": intents},
        "experiment": {
            "candidates": TWELVE,
            "policy": "experiment",
            "experiment": {"name": "trial", "arms": {TWELVE[0]: 1, TWELVE[1]: 1}},
        },
    }
    return BridgeConfig.parse({"providers": {"mock": {}}, "models": models, "aliases": aliases})


def feed(health: HealthBook, usage: ObservedUsage, clock: FrozenClock) -> None:
    """A minute of answered calls at every deployment."""
    drawn = random.Random(2)
    for _ in range(60):
        clock.advance(1.0)
        for name in TWELVE:
            used = Usage(400, drawn.randint(50, 200), cached_tokens=100)
            health.begin(name, clock.monotonic())
            health.observe(answered(name, drawn.lognormvariate(6.5, 0.4), used), clock.monotonic())
            usage.add(name, "triage", used)


def answered(name: str, duration_ms: float, used: Usage) -> AttemptRecord:
    return AttemptRecord(
        new_id(), name, "mock", name, NOW, duration_ms, duration_ms / 4, "succeeded", None, None, 200, used, 0, None,
        None, False,
    )  # fmt: skip


def median_us(call: Callable[[], object]) -> float:
    """CPU of one call: the median of rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time() - began) / CALLS * 1e6)
    return statistics.median(rounds)


def measured(bench: Bench, policy: Policy) -> Figure:
    route = bench.route(policy)
    question = bench.ask(route)
    snapshot = bench.snapshot(route, question)
    seeds = iter(range(10**9))
    return Figure(
        policy,
        median_us(lambda: bench.ask(route)),
        median_us(lambda: bench.snapshot(route, question)),
        median_us(lambda: decide(question, snapshot, seed=next(seeds))),
    )


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    bench = Bench()
    figures = [measured(bench, policy) for policy in get_args(Policy)]
    print(f"{'policy':12} {'ask':>7} {'snapshot':>9} {'decide':>7} {'whole':>7}   us of CPU, 12 deployments")
    for one in figures:
        print(f"{one.policy:12} {one.ask_us:7.1f} {one.snapshot_us:9.1f} {one.decide_us:7.1f} {one.whole_us:7.1f}")
    slowest = max((one for one in figures if one.policy in SIMPLE), key=lambda one: one.decide_us)
    whole = max((one for one in figures if one.policy in SIMPLE), key=lambda one: one.whole_us)
    shares = slowest.decide_us / DECIDE_GOAL_US, whole.whole_us / WHOLE_GOAL_US
    for what, us, share in (("decide", slowest.decide_us, shares[0]), ("the whole", whole.whole_us, shares[1])):
        print(f"{what}, simple policies: at most {us:.1f} us, {share:.2f} of its goal")
    return 1 if max(shares) > ALLOWED else 0


if __name__ == "__main__":
    raise SystemExit(main())
