"""A ledger that loses nothing and counts nothing twice: kills at the worst moments, and a database that goes away.

    python -m benchmarks.ledger [--calls 10000] [--kills stream,answer,drain] [--outage-s 5] [--freeze] [--seed N]

`modelbridge serve` on a PostgreSQL of its own is asked by clients, whole and streamed, and killed (kill -9) at random
points of the run: in the middle of a stream, between the upstream's answer and the journal, and inside a drain's
transaction. Each hit is proved by what the killed process left behind, or tried again. Once the database is stopped (or
frozen, with `--freeze`) for a while. At the end three books are compared: the ledger, what the clients saw, and what
the upstream counted. Exits 1 when they differ. 10,000 calls end by themselves in less than five minutes.
"""

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx

from benchmarks.ledger_books import Verdict, compare
from benchmarks.ledger_client import Clients
from benchmarks.ledger_server import ROOT, Server
from flows import private_postgres
from tests.support.frozen import freeze, thaw
from tests.support.peers import free_port

KINDS = ("stream", "answer", "drain")
CONCURRENCY = 24
TRIES = 4
HIT_LIMIT_S = 60.0
BUSY = """
select backend_xid::text xid, query from pg_stat_activity
where wait_event_type = 'Lock' and query ilike 'insert into ledger%' and backend_xid is not null
"""


@dataclass(slots=True)
class Trial:
    """One run, its parts, and what was noted of it."""

    server: Server
    upstream: str
    postgres: private_postgres.PrivatePostgres
    clients: Clients
    began_s: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list[str])
    unproved: list[str] = field(default_factory=list[str])

    def note(self, said: str) -> None:
        """For people, at once."""
        self.notes.append(said)
        at_s = time.monotonic() - self.began_s
        print(f"  {at_s:6.1f} s, {len(self.clients.seen.answered):6,} answered: {said}", flush=True)

    async def connection(self) -> Any:
        """To the database, as the superuser."""
        return await cast("Any", asyncpg).connect(host=str(self.postgres.socket_folder), user="postgres")


async def kill(trial: Trial, kind: str) -> None:
    """Kill the gateway at such a moment, prove it, and start the next one."""
    for number in range(TRIES):
        proof = await (_killed_in_drain(trial) if kind == "drain" else _killed_by_upstream(trial, kind))
        began_s = time.monotonic()
        await trial.server.start()
        started_s = time.monotonic() - began_s
        if proof is not None:
            trial.note(f"kill -9 {proof}; the next process answered after {started_s:.1f} s")
            return
        trial.note(f"kill -9 missed its moment ({kind}), try {number + 1}")
    trial.unproved.append(kind)


async def _killed_by_upstream(trial: Trial, kind: str) -> str | None:
    """In a stream, or between answer and journal. The proof in words; None when the moment was missed."""
    async with httpx.AsyncClient(base_url=trial.upstream, timeout=10) as client:
        await client.post("/control", json={"kind": kind, "pid": trial.server.pid})
        await trial.server.died()
        shot: dict[str, Any] = (await client.get("/control")).json()["kills"][-1]
    mark = shot["mark"]
    await asyncio.wait_for(trial.clients.until(lambda seen: mark in seen.broken), HIT_LIMIT_S)
    n_bytes = trial.clients.seen.broken[mark]
    left = {one.mark: one for one in trial.server.unfinished()}
    found = left.get(mark)
    if found is None or found.is_settled or (kind == "stream") != (n_bytes > 0):
        return None
    where = "during a stream" if kind == "stream" else "between answer and settlement"
    return (
        f"{where}: {mark} had {shot['sent']} from the upstream, its client {n_bytes} bytes, its journal attempt"
        f" {found.attempt_id} dispatched and not settled ({len(left)} calls were under way)"
    )


async def _killed_in_drain(trial: Trial) -> str | None:
    """While the drain's transaction is open; a lock on the ledger holds it there. The proof; None when missed."""
    lock, watch = await trial.connection(), await trial.connection()
    try:
        await lock.execute("begin; lock table ledger in share mode")
        give_up_s, busy = time.monotonic() + HIT_LIMIT_S, None
        while busy is None and time.monotonic() < give_up_s:
            busy = await watch.fetchrow(BUSY)
            await asyncio.sleep(0.005)
        trial.server.kill()
        await trial.server.died()
        journalled = trial.server.journalled_calls()
        stored = {row["id"] for row in await watch.fetch("select id::text from calls")}
        await lock.execute("rollback")
        status = None
        while busy is not None and status in (None, "in progress") and time.monotonic() < give_up_s:
            status = await watch.fetchval("select pg_xact_status($1::text::xid8)", busy["xid"])
            await asyncio.sleep(0.005)
    finally:
        await lock.close()
        await watch.close()
    missing = journalled - stored
    if busy is None or status != "aborted" or not missing:
        return None
    return (
        f"inside a drain: transaction {busy['xid']} stood at `{busy['query'][:18]}` and is {status};"
        f" {len(missing)} answered calls were in the journal only, {len(journalled & stored)} in both"
    )


async def take_database_away(trial: Trial, outage_s: float, *, is_frozen: bool) -> None:
    """Stop the database (or freeze all its processes) for a while; calls go on."""
    before, began_s = len(trial.clients.seen.answered), time.monotonic()
    stopped = freeze(trial.postgres) if is_frozen else []
    if not is_frozen:
        await asyncio.to_thread(trial.postgres.stop)
    trial.note(f"database {'frozen' if is_frozen else 'stopped'}")
    try:
        await asyncio.sleep(outage_s)
    finally:
        thaw(stopped)
    meanwhile = len(trial.clients.seen.answered) - before
    if not is_frozen:
        trial.postgres = await asyncio.to_thread(
            private_postgres.start, trial.postgres.folder, settings=private_postgres.UNSAFE_BUT_FAST
        )
    trial.note(f"database back after {time.monotonic() - began_s:.1f} s; {meanwhile:,} calls were answered meanwhile")
    await _caught_up(trial)


async def _caught_up(trial: Trial) -> None:
    """Wait until everything that was answered by now is in the ledger."""
    began_s, wanted = time.monotonic(), len(trial.clients.seen.answered)
    connection = await trial.connection()
    while True:
        if await connection.fetchval("select count(*) from calls where status = 'succeeded'") >= wanted:
            break
        await asyncio.sleep(0.02)
    await connection.close()
    trial.note(f"the ledger has caught up with them {time.monotonic() - began_s:.1f} s later")


async def disturb(trial: Trial, options: argparse.Namespace, chances: random.Random) -> None:
    """Everything that happens to the run, each at a random point of its own part of it."""
    kinds = [kind for kind in options.kills.split(",") if kind]
    chances.shuffle(kinds)
    events = [*kinds, "outage"] if options.outage_s > 0 else kinds
    for number, event in enumerate(events):
        share = (number + chances.uniform(0.2, 0.8)) / (len(events) + 0.5)
        at = int(options.calls * share)
        await trial.clients.until(lambda seen, at=at: len(seen.answered) >= at)
        if event == "outage":
            await take_database_away(trial, options.outage_s, is_frozen=options.freeze)
        else:
            await kill(trial, event)


def begin_upstream(port: int, log: Path, stack: ExitStack) -> None:
    """In a process of its own, until the stack is left."""
    out = stack.enter_context(log.open("wb"))
    command = [sys.executable, "-m", "benchmarks.ledger_upstream", str(port)]
    process = stack.enter_context(subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT))
    stack.callback(process.kill)


async def tried(options: argparse.Namespace, folder: Path, stack: ExitStack) -> tuple[Trial, Verdict]:
    """The run, and the comparison after it."""
    chances = random.Random(options.seed)  # moments, no secrets
    postgres = private_postgres.start(folder / "pg" / "data", settings=private_postgres.UNSAFE_BUT_FAST)
    stack.callback(_removed, postgres)
    ports = free_port(), free_port()
    begin_upstream(ports[0], folder / "upstream.log", stack)
    server = Server(folder / "home", ports[1], ports[0], postgres.url())
    stack.callback(server.end)
    await server.start()
    _, key = await server.owner()
    clients = Clients(ports[1], key, options.calls, concurrency=CONCURRENCY, chances=chances)
    trial = Trial(server, f"http://127.0.0.1:{ports[0]}", postgres, clients)
    async with asyncio.TaskGroup() as group:
        group.create_task(clients.run())
        group.create_task(disturb(trial, options, chances))
    await server.stop()
    async with httpx.AsyncClient(base_url=trial.upstream, timeout=30) as client:
        asked: dict[str, int] = (await client.get("/control")).json()["asked"]
    verdict = await compare(str(trial.postgres.socket_folder), clients.seen, asked)
    verdict.check(f"no journal is left ({', '.join(server.journals()) or 'none'})", holds=not server.journals())
    for kind in trial.unproved:
        verdict.check(f"a kill hit its moment ({kind})", holds=False)
    return trial, verdict


def _removed(postgres: private_postgres.PrivatePostgres) -> None:
    """Stop the server."""
    replace(postgres, process=None).stop()  # whichever process it is by now
    for place in (postgres.folder, postgres.socket_folder):
        shutil.rmtree(place, ignore_errors=True)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description="Three books of the same calls.")
    parser.add_argument("--calls", type=int, default=10_000, help="calls to be answered")
    parser.add_argument("--kills", default=",".join(KINDS), help="moments to kill at, comma-separated; empty: none")
    parser.add_argument("--outage-s", type=float, default=5.0, help="how long the database is away; 0: never")
    parser.add_argument("--freeze", action="store_true", help="the database does not answer, instead of refusing")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the moments")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str]) -> int:
    """Run, print, judge: 0 when the books agree."""
    options = parsed(arguments)
    print(f"{options.calls:,} calls, {CONCURRENCY} at once, seed {options.seed}", flush=True)
    began_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="mb-ledger-"))
    try:
        with ExitStack() as stack:
            trial, verdict = asyncio.run(tried(options, folder, stack))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seen = trial.clients.seen
    print(
        f"{len(seen.answered):,} answered, {len(seen.broken)} broken off, {len(seen.refused)} refused, by"
        f" {trial.server.n_starts} processes in {time.monotonic() - began_s:.0f} s"
    )
    for line in verdict.lines:
        print(line)
    return 1 if verdict.problems else 0


def main() -> int:
    """The command line."""
    return run(sys.argv[1:] if sys.argv[0].endswith("ledger.py") else ())


if __name__ == "__main__":
    sys.exit(main())
