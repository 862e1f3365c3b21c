"""Hard budgets under fire: 200 calls at once against a small budget, workers killed in mid-call.

    python -m benchmarks.budgets

On SQLite and on PostgreSQL, from one process and from three, of which one is killed (kill -9) while its calls are
under way and a new one takes its place and its journal. The budget is looked at all the time. Bounds: what is held and
settled is never above the limit, nothing is held at the end, the budget equals the ledger, no call fails for another
reason than the budget or its provider, a call inside a lease asks for nothing. Exits 1 when one is missed.

What a budget costs in CPU is printed beside its goal: how long a call takes depends on what else the machine does.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from benchmarks.budgets_worker import CountingLedger, Orders, Report, bridge_config, count_transactions
from bridge.budget_periods import window_start
from bridge.call_record import BudgetScope, CallContext
from bridge.chat import ChatRequest, Message
from bridge.clock import SystemClock
from bridge.gateway import Bridge
from bridge.identifiers import new_id
from flows import private_postgres
from platform_api.budgets import service
from platform_api.database.addresses import sqlite_url
from platform_api.database.session import Database
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetWindowRow, CallRow, LedgerRow
from platform_api.migrations.runner import upgrade_database
from platform_api.usage.journal import Journal

AT_ONCE = 200
CALLS_EACH = 6
LIMIT_NANO_USD = 60_000_000
KILL_AFTER_S = 0.2
LATENCY_MS = (5.0, 60.0)
LOOK_EVERY_S = 0.01
EXTRA_CPU_GOAL_US = 30.0
ROUNDS, CALLS_A_ROUND = 20, 400
MOST_LEASES = 3
"""All those calls cost a dollar, and a lease is half of one."""


@dataclass(slots=True)
class Outcome:
    """One run against one database."""

    database: str
    processes: int
    report: Report
    wall_s: float
    most_nano_usd: int
    looks: int
    settled_nano_usd: int
    held_nano_usd: int
    ledger_nano_usd: int
    lost_calls: int
    problems: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Watch:
    """What was seen of a window while it was spent."""

    most_nano_usd: int = 0
    looks: int = 0
    crossed: list[str] = field(default_factory=list[str])


async def watch(database: Database, budget_id: UUID, seen: Watch) -> None:
    """Look at the budget's window until cancelled."""
    query = select(BudgetWindowRow.held_nano_usd, BudgetWindowRow.settled_nano_usd).where(
        BudgetWindowRow.budget_id == budget_id
    )
    while True:
        async with database.system().read() as db:
            held, settled = (await db.execute(query)).one()
        seen.looks += 1
        seen.most_nano_usd = max(seen.most_nano_usd, held + settled)
        if held + settled > LIMIT_NANO_USD or held < 0:
            seen.crossed.append(f"held {held} + settled {settled} of {LIMIT_NANO_USD}")
        await asyncio.sleep(LOOK_EVERY_S)


async def new_budget(database: Database, limit_nano_usd: int) -> tuple[str, UUID]:
    """An organisation with a monthly budget; both ids."""
    org_id, now = new_id(), SystemClock().now()
    async with database.system()() as db:
        db.add(OrganizationRow(id=UUID(org_id), slug=f"o-{org_id}", name="O", plan="self-hosted", created_at=now))
    async with database.for_org(UUID(org_id))() as db:
        scope = BudgetScope("org", org_id)
        row = await service.set_limit(db, UUID(org_id), scope, "total", limit_nano_usd, now=now, new_id=new_id)
        return org_id, row.id


class Worker:
    """A process of `benchmarks.budgets_worker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, orders: Orders) -> "Worker":
        text = msgspec.json.encode(orders).decode()
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "benchmarks.budgets_worker", text)
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def ready(self) -> None:
        """It may begin."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line == b"ready\n", line

    def begin(self) -> None:
        """Its calls begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def kill(self) -> None:
        """End it at once (kill -9)."""
        self._process.kill()
        await self._process.wait()

    async def report(self) -> Report:
        """What it did, once it is done."""
        output, _ = await self._process.communicate()
        return msgspec.json.decode(output.splitlines()[-1], type=Report)


async def spent_by(orders: Orders, processes: int) -> Report:
    """Let workers spend, one of them killed in mid-call and replaced; what the living ones report, together."""
    workers = [await Worker.start(orders) for _ in range(processes)]
    await asyncio.gather(*(worker.ready() for worker in workers))
    for worker in workers:
        worker.begin()
    await asyncio.sleep(KILL_AFTER_S)
    await workers[0].kill()
    heir = await Worker.start(orders)
    await heir.ready()
    heir.begin()
    total = Report(errors=[])
    for one in await asyncio.gather(*(worker.report() for worker in [heir, *workers[1:]])):
        total.answered += one.answered
        total.refused += one.refused
        total.upstream += one.upstream
        total.failed += one.failed
        total.leases_asked += one.leases_asked
        total.transactions += one.transactions
        total.cpu_s += one.cpu_s
        total.errors += one.errors
    return total


async def run(name: str, address: str, processes: int, folder: Path) -> Outcome:
    """One scenario on a migrated database."""
    database = Database(address)
    org_id, budget_id = await new_budget(database, LIMIT_NANO_USD)
    orders = Orders(address, str(folder / "journal"), org_id, AT_ONCE // processes + 1, CALLS_EACH, LATENCY_MS)
    seen = Watch()
    watching = asyncio.create_task(watch(database, budget_id, seen))
    began_s = time.perf_counter()
    report = await spent_by(orders, processes)
    wall_s = time.perf_counter() - began_s
    watching.cancel()
    await asyncio.wait({watching})
    outcome = await _outcome(database, UUID(org_id), budget_id, report, seen)
    outcome.database, outcome.processes, outcome.wall_s = name, processes, wall_s
    if not watching.cancelled() and (broken := watching.exception()) is not None:
        outcome.problems.append(f"the watch broke: {broken!r}")
    await database.aclose()
    return outcome


async def _outcome(database: Database, org_id: UUID, budget_id: UUID, report: Report, seen: Watch) -> Outcome:
    async with database.system().read() as db:
        key = (
            BudgetWindowRow.budget_id == budget_id,
            BudgetWindowRow.starts_at == window_start("total", SystemClock().now()),
        )
        window = (await db.scalars(select(BudgetWindowRow).where(*key))).one()
        ledger = await db.scalar(select(func.sum(LedgerRow.cost_nano_usd)).where(LedgerRow.org_id == org_id)) or 0
        leases = await db.scalar(select(func.count()).where(BudgetLeaseRow.budget_id == budget_id)) or 0
        lost = (
            await db.scalar(select(func.count()).where(CallRow.org_id == org_id, CallRow.error_class == "internal"))
            or 0
        )
    outcome = Outcome(
        "", 0, report, 0.0, seen.most_nano_usd, seen.looks, window.settled_nano_usd, window.held_nano_usd, ledger, lost
    )
    outcome.problems += seen.crossed[:3]
    if window.settled_nano_usd > LIMIT_NANO_USD:
        outcome.problems.append(f"settled {window.settled_nano_usd} is over the limit {LIMIT_NANO_USD}")
    if window.held_nano_usd != 0 or leases != 0:
        outcome.problems.append(f"at the end {window.held_nano_usd} is held by {leases} leases")
    if ledger != window.settled_nano_usd:
        outcome.problems.append(f"the ledger says {ledger}, the budget {window.settled_nano_usd}")
    if report.failed:
        outcome.problems.append(f"{report.failed} calls failed: {report.errors[:2]}")
    if not (report.answered and report.refused):
        outcome.problems.append("nothing was shown: calls must be answered and refused")
    return outcome


async def extra_cpu(address: str, folder: Path) -> tuple[float, float, int, int]:
    """CPU of a call without a budget, what a lease adds, in us by the best rounds; leases asked, transactions begun."""
    database, clock = Database(address), SystemClock()
    org_id, _ = await new_budget(database, 1_000_000_000_000)
    free_id = new_id()
    async with database.system()() as db:
        db.add(
            OrganizationRow(id=UUID(free_id), slug=f"f-{free_id}", name="F", plan="self-hosted", created_at=clock.now())
        )
    journal = Journal(folder / "speed", new_id())
    ledger = CountingLedger(database, clock, journal.writer_id)
    bridge = Bridge(bridge_config((0.0, 0.0)), sinks=[journal], ledger=ledger, clock=clock, journal=journal)
    request = ChatRequest("mock/steady", (Message.of("user", "tell me something short"),), max_output_tokens=64)

    async def round_of(org: str) -> float:
        cpu_s = time.thread_time()
        for _ in range(CALLS_A_ROUND):
            await bridge.chat(request, CallContext(org_id=org))
        return (time.thread_time() - cpu_s) / CALLS_A_ROUND * 1e6

    await round_of(free_id)
    await round_of(org_id)
    counted, ledger.asked = count_transactions(database.engine.sync_engine), 0
    free: list[float] = []
    held: list[float] = []
    for _ in range(ROUNDS):
        free.append(await round_of(free_id))
        held.append(await round_of(org_id))
    asked, begun = ledger.asked, counted["begun"]
    await bridge.aclose()
    journal.close()
    await database.aclose()
    return min(free), min(held) - min(free), asked, begun


async def migrated(address: str) -> str:
    """The address of a database with all tables."""
    database = Database(address)
    await upgrade_database(database)
    await database.aclose()
    return address


async def outcomes(folder: Path, postgres: private_postgres.PrivatePostgres) -> list[Outcome]:
    """Every scenario, one after another."""
    found: list[Outcome] = []
    for processes in (1, 3):
        place = folder / f"sqlite-{processes}"
        place.mkdir()
        found.append(await run("SQLite", await migrated(sqlite_url(place / "modelbridge.db")), processes, place))
    address = await migrated(postgres.url())
    for processes in (1, 3):
        place = folder / f"postgres-{processes}"
        place.mkdir()
        found.append(await run("PostgreSQL", address, processes, place))
    return found


def show(found: Sequence[Outcome]) -> None:
    """The table."""
    print(
        f"{'database':11} {'procs':>5} {'answered':>8} {'refused':>7} {'failed':>6} {'cut off':>7} {'limit':>9}"
        f" {'most':>9} {'settled':>9} {'held':>5} {'leases/call':>11} {'txn/call':>8} {'looks':>6} {'wall':>7}"
    )
    for one in found:
        calls = one.report.answered + one.report.refused + one.report.upstream
        print(
            f"{one.database:11} {one.processes:5} {one.report.answered:8} {one.report.refused:7}"
            f" {one.report.upstream:6} {one.lost_calls:7}"
            f" {LIMIT_NANO_USD / 1e9:9.6f} {one.most_nano_usd / 1e9:9.6f} {one.settled_nano_usd / 1e9:9.6f}"
            f" {one.held_nano_usd:5} {one.report.leases_asked / calls:11.3f} {one.report.transactions / calls:8.3f}"
            f" {one.looks:6} {one.wall_s:5.1f} s"
        )
        for problem in one.problems:
            print(f"  missed: {problem}")


def main() -> None:
    """Print the table; exit 1 when a bound was missed."""
    folder = Path(tempfile.mkdtemp(prefix="mb-budgets-"))
    postgres = private_postgres.start(folder / "pg" / "data", settings=private_postgres.UNSAFE_BUT_FAST)
    try:
        found = asyncio.run(outcomes(folder, postgres))
        speed = asyncio.run(extra_cpu(asyncio.run(migrated(sqlite_url(folder / "speed.db"))), folder))
    finally:
        postgres.stop()
        for place in (folder, postgres.folder, postgres.socket_folder):
            shutil.rmtree(place, ignore_errors=True)
    show(found)
    plain_us, extra_us, asked, begun = speed
    print(
        f"a call takes {plain_us:.0f} us of CPU; inside a lease {extra_us:+.1f} us"
        f" (goal < {EXTRA_CPU_GOAL_US:.0f} us{'' if extra_us < EXTRA_CPU_GOAL_US else ': missed'}),"
        f" {asked} leases asked for in {ROUNDS * CALLS_A_ROUND} calls, and {begun} transactions beside them"
    )
    was_cut_off = any(one.lost_calls for one in found)
    if not was_cut_off:
        print("missed: no call was cut off by a kill")
    if asked > MOST_LEASES or not was_cut_off or any(one.problems for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
