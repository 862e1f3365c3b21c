"""Do calls survive what providers do? 16 scenarios in every dialect, and llmock as an outside judge.

python -m benchmarks.failover [--dialect D]... [--scenario S]... [--no-llmock] [--whole-outage]

Real HTTP on loopback, the numbers of the default configuration, streamed answers. Exits 1 unless every scenario passes
with its advisory checks clean and llmock finds nothing. S15 runs in its fast form (6 s of outage) unless the whole
minute is asked for.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from benchmarks import failover_llmock
from benchmarks.failover_outage import FAST, WHOLE, Form, outage
from benchmarks.failover_run import run_scenario
from benchmarks.failover_scenarios import SCENARIOS, Verdict
from bridge.providers.mock_dialects import MOCK_DIALECTS

AT_ONCE = 32
OUTAGE = "S15"


async def run(dialects: Sequence[str], wanted: Sequence[str], form: Form = FAST) -> bool:
    """All scenarios of all dialects, side by side; prints a table for each. Did every one pass?"""
    slots = asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()

    async def one(dialect: str, position: int) -> tuple[str, str, Verdict]:
        async with slots:
            scenario = SCENARIOS[position]
            seen, verdict = await run_scenario(dialect, scenario)
            counts = f"P={seen.primary} F={len(seen.fallback_at_s)} {seen.wall_s:5.1f} s"
            print(f"  {time.monotonic() - began:5.0f} s {dialect} {scenario.id} {verdict.word}", file=sys.stderr)
            return scenario.id, f"{counts}  {scenario.fault}", verdict

    async def one_outage(dialect: str) -> tuple[str, str, Verdict]:
        async with slots:
            verdict, facts = await outage(dialect, form)
            print(f"  {time.monotonic() - began:5.0f} s {dialect} {OUTAGE} {verdict.word}", file=sys.stderr)
            return OUTAGE, facts, verdict

    is_clean = True
    tasks = {
        dialect: [
            asyncio.create_task(one(dialect, position))
            for position, scenario in enumerate(SCENARIOS)
            if not wanted or scenario.id in wanted
        ]
        + ([asyncio.create_task(one_outage(dialect))] if not wanted or OUTAGE in wanted else [])
        for dialect in dialects
    }
    for dialect, pending in tasks.items():
        rows = sorted(await asyncio.gather(*pending), key=lambda row: row[0])
        passed = sum(verdict.word == "pass" for _, _, verdict in rows)
        print(f"{dialect}: {passed} of {len(rows)} pass")
        for name, facts, verdict in rows:
            why = f"  ! {', '.join(verdict.problems)}" if verdict.problems else ""
            print(f"  {name:<5} {verdict.word:<8} {facts}{why}")
        is_clean = is_clean and passed == len(rows)
    return is_clean


def main(arguments: Sequence[str] = ()) -> None:
    """Run, print, and exit 1 when anything is short of a pass."""
    parser = argparse.ArgumentParser(description="failover scenarios")
    parser.add_argument("--dialect", action="append", choices=sorted(MOCK_DIALECTS))
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--no-llmock", action="store_true")
    parser.add_argument("--whole-outage", action="store_true", help="S15 with 60 s of outage: 80 s and more")
    options = parser.parse_args(list(arguments))
    unknown = set(options.scenario) - {OUTAGE, *(scenario.id for scenario in SCENARIOS)}
    if unknown:
        parser.error(f"unknown scenario: {', '.join(sorted(unknown))}")
    form = WHOLE if options.whole_outage else FAST
    is_clean = asyncio.run(run(options.dialect or sorted(MOCK_DIALECTS), options.scenario, form))
    if not options.no_llmock and not options.scenario:
        is_clean = asyncio.run(failover_llmock.run()) and is_clean
    if not is_clean:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
