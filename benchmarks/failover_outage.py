"""S15: the primary is down for a while and comes back. It must be spared, and be used again soon after."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.failover_run import ask, bridge_for
from benchmarks.failover_scenarios import Verdict
from benchmarks.failover_upstream import HEALTHY, Behaviour, Route, Upstream

BACK_WITHIN_S = 30.0
DOWN = Behaviour(status=503)


@dataclass(frozen=True, slots=True)
class Form:
    """How long the outage is, and who asks meanwhile."""

    outage_s: float
    requests: int
    every_s: float
    limit_s: float
    """Of one request."""


FAST = Form(outage_s=6, requests=10, every_s=1.2, limit_s=10)
WHOLE = Form(outage_s=60, requests=20, every_s=4, limit_s=30)


async def outage(dialect: str, form: Form = FAST) -> tuple[Verdict, str]:
    """All requests of the form, and more until the primary answers again; what happened in one line."""
    primary = Route(lambda number, elapsed_s: DOWN if elapsed_s < form.outage_s else HEALTHY)
    fallback = Route(lambda number, elapsed_s: HEALTHY)
    problems: list[str] = []
    async with Upstream(dialect, {"primary": primary, "fallback": fallback}).running() as upstream:
        bridge = bridge_for(upstream.url, dialect)
        began = time.monotonic()
        back_s: float | None = None
        asked = down = served = 0
        while asked < form.requests or (back_s is None and time.monotonic() - began < form.outage_s + BACK_WITHIN_S):
            sent_s = time.monotonic()
            _, error, model, _ = await ask(bridge, form.limit_s)
            asked += 1
            is_down = sent_s - began < form.outage_s
            down += is_down
            served += is_down and error is None
            if error is not None:
                problems.append(error)
            if model == "one/m" and not is_down and back_s is None:
                back_s = time.monotonic() - began - form.outage_s
            await asyncio.sleep(max(0.0, form.every_s - (time.monotonic() - sent_s)))
        await bridge.aclose()
    probes = sum(one.at_s < form.outage_s for one in primary.seen)
    if served < down:
        problems.append(f"served {served} of {down} during the outage")
    if back_s is None or back_s > BACK_WITHIN_S:
        problems.append(f"the primary was not back within {BACK_WITHIN_S:g} s")
    back = "never" if back_s is None else f"{back_s:.1f} s after its recovery"
    counts = f"P={len(primary.seen)} F={len(fallback.seen)}"
    facts = f"{counts} served {served} of {down} in {form.outage_s:g} s of 503, P={probes} then; back {back}"
    return Verdict("fail" if problems else "pass", tuple(problems)), facts
