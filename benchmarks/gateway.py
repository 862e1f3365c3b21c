"""What the gateway adds to a call, beside LiteLLM and Portkey in the same run, and the budget of each figure.

    python -m benchmarks.gateway [--no-peers] [--quick]

The full pipeline is on: key, budget, cache look-up, decision, upstream, journal, metrics, log. CPU is that of a
gateway's whole process tree, measured from outside; rounds of all gateways alternate, and each figure is the median of
its rounds. Exits 1 when a budget is missed. Ends by itself in about two minutes.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gateway_peers import Gateway, PeerError, all_of, loaded, ours, upstream_at
from tests.support.peers import free_port, running_redis

PROMPT = "What is the capital of France, and on which river does it lie? " * 5
BODY: dict[str, Any] = {
    "messages": [{"role": "system", "content": "You answer briefly."}, {"role": "user", "content": PROMPT}],
    "max_tokens": 200,
    "temperature": 0.2,
}
N_EVENTS = 1000
CONCURRENCIES = (1, 32, 256)
COUNTS = {"direct": 6000, "ours": 1500, "ours, cross": 1500, "ours, Redis": 1500, "Portkey": 800, "LiteLLM": 150}


@dataclass(frozen=True, slots=True)
class Budget:
    """One figure and its bound (PERFORMANCE budgets)."""

    name: str
    measured: float
    bound: float
    is_floor: bool = False

    @property
    def is_met(self) -> bool:
        """Within the bound?"""
        return self.measured >= self.bound if self.is_floor else self.measured <= self.bound

    def line(self) -> str:
        """For people."""
        sign = ">=" if self.is_floor else "<="
        return f"{'met' if self.is_met else 'MISSED':7} {self.name}: {self.measured:,.2f} {sign} {self.bound:,.2f}"


Figures = dict[tuple[str, int], dict[str, float]]


def measured(gateways: Sequence[Gateway], rounds: int, share: float) -> Figures:
    """Medians by gateway and concurrency; the first, short round warms up."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for one in gateways:
        loaded(one, 100, 8, BODY)
    for _ in range(rounds):
        for concurrency in CONCURRENCIES:
            for one in gateways:
                n = max(int(COUNTS[one.name] * share / (3 if concurrency == 1 else 1)), concurrency)
                found.setdefault((one.name, concurrency), []).append(loaded(one, n, concurrency, BODY))
    names = ("cpu_us", "rps", "p50_ms", "p95_ms", "p99_ms", "first_byte_p50_ms")
    return {key: {name: statistics.median(one[name] for one in seen) for name in names} for key, seen in found.items()}


def burst(gateway: Gateway) -> float:
    """Events relayed a second when the upstream sends them all at once."""
    body = {**BODY, "stream": True}
    return statistics.median((seen := loaded(gateway, 40, 4, body))["events"] / seen["wall_s"] for _ in range(3))


def table(figures: Figures) -> None:
    """CPU, throughput and latency."""
    print("gateway        c      CPU us      RPS    p50 ms    p95 ms    p99 ms")
    for (name, concurrency), one in figures.items():
        print(
            f"{name:12} {concurrency:3} {one['cpu_us']:11,.0f} {one['rps']:8,.0f}"
            f" {one['p50_ms']:9.2f} {one['p95_ms']:9.2f} {one['p99_ms']:9.2f}"
        )


def budgets(figures: Figures, gateways: Sequence[Gateway], events_s: float) -> list[Budget]:
    """Every figure that has one."""
    own = next(one for one in gateways if one.name == "ours")
    direct, alone, busy = figures["direct", 1], figures["ours", 1], figures["ours", 32]
    found = [
        Budget("CPU us of a call at c32", busy["cpu_us"], 250),
        Budget("CPU us with shared state in Redis at c32", figures["ours, Redis", 32]["cpu_us"], 360),
        Budget("CPU us from OpenAI's words to Anthropic's at c32", figures["ours, cross", 32]["cpu_us"], 400),
        Budget("added p50 ms at c1", alone["p50_ms"] - direct["p50_ms"], 0.7),
        Budget("added p99 ms at c1", alone["p99_ms"] - direct["p99_ms"], 3.0),
        Budget("events relayed a second in a burst", events_s, 30_000, is_floor=True),
        Budget("memory MB", own.rss_mb(), 150),
        Budget("seconds to the first answer", own.start_s, 3.0),
    ]
    for peer, least in (("LiteLLM", 40.0), ("Portkey", 5.0)):
        if (peer, 32) in figures:
            ratio = figures[peer, 32]["cpu_us"] / busy["cpu_us"]
            found.append(Budget(f"{peer}'s CPU over ours at c32", ratio, least, is_floor=True))
    return found


def main() -> None:
    """Measure, print, judge."""
    is_quick, with_peers = "--quick" in sys.argv, "--no-peers" not in sys.argv
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, upstream, ports = Path(name), free_port(), [free_port() for _ in range(4)]
        try:
            stack.enter_context(upstream_at(upstream, N_EVENTS, folder))
            gateways = stack.enter_context(all_of(folder, upstream, ports, with_peers=with_peers))
            redis = stack.enter_context(running_redis())
            shared = stack.enter_context(ours(folder, ports[3], upstream, REDIS_URL=redis))
            own = gateways[1]
            gateways += [replace(own, name="ours, cross", model="cross/m"), replace(shared, name="ours, Redis")]
            figures = measured(gateways, 1 if is_quick else 3, 0.5 if is_quick else 1.0)
            events_s = burst(own)
        except PeerError as error:
            sys.exit(f"{error}\n(--no-peers leaves LiteLLM and Portkey out)")
        table(figures)
        judged = budgets(figures, gateways, events_s)
        for one in gateways:
            if one.process is not None and one.start_s and one.name in ("ours", "Portkey", "LiteLLM"):
                print(f"{one.name}: {one.rss_mb():.0f} MB, started in {one.start_s:.1f} s")
    for one in judged:
        print(one.line())
    if not all(one.is_met for one in judged):
        sys.exit(1)


if __name__ == "__main__":
    main()
