"""S15: the primary is down for a while and comes back. The fast form: 10 s of outage, a request each 1.2 s."""

import asyncio
import time

from benchmarks.failover_run import ask, bridge_for
from benchmarks.failover_scenarios import Verdict
from benchmarks.failover_upstream import HEALTHY, Behaviour, Route, Upstream

OUTAGE_S = 6.0
EVERY_S = 1.2
REQUEST_LIMIT_S = 10.0
BACK_WITHIN_S = 30.0
DOWN = Behaviour(status=503)


async def outage(dialect: str) -> tuple[Verdict, str]:
    """Ten requests over the outage, then until the primary answers again; what happened in one line."""
    primary = Route(lambda number, elapsed_s: DOWN if elapsed_s < OUTAGE_S else HEALTHY)
    fallback = Route(lambda number, elapsed_s: HEALTHY)
    problems: list[str] = []
    async with Upstream(dialect, {"primary": primary, "fallback": fallback}).running() as upstream:
        bridge = bridge_for(upstream.url, dialect)
        began = time.monotonic()
        back_s: float | None = None
        served = asked = 0
        while back_s is None and time.monotonic() - began < OUTAGE_S + BACK_WITHIN_S:
            sent_s = time.monotonic()
            _, error, model, _ = await ask(bridge, REQUEST_LIMIT_S)
            is_down = sent_s - began < OUTAGE_S
            asked += is_down
            served += is_down and error is None
            if error is not None:
                problems.append(error)
            if model == "one/m" and not is_down:
                back_s = time.monotonic() - began - OUTAGE_S
            await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - sent_s)))
        await bridge.aclose()
    probes = sum(one.at_s < OUTAGE_S for one in primary.seen)
    if served < asked:
        problems.append(f"served {served} of {asked} during the outage")
    if back_s is None:
        problems.append(f"the primary was not back within {BACK_WITHIN_S:g} s")
    back = "never" if back_s is None else f"{back_s:.1f} s after its recovery"
    facts = f"served {served} of {asked} in {OUTAGE_S:g} s of 503; {probes} attempts at the primary then; back {back}"
    return Verdict("fail" if problems else "pass", tuple(problems)), facts
