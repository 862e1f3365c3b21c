"""A step's outcome names its calls, and is stored after the journal has them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from bridge.clock import SystemClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.identifiers import new_id
from flows.inline_lane import InlineLane
from flows.run_memory import MemoryRunStore
from flows.runs import RunEvent, RunOwner, StepRun
from platform_api.database.session import Database
from platform_api.database.tables.usage import CallRow, LedgerRow
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal, segments
from platform_api.usage.journal_frames import StoredCall, decode_frame, read_frames
from tests.support.engine import Engine, a_plan, a_run, paid
from tests.support.money import new_organization


def journalled(journal: Journal) -> set[str]:
    """Ids of the calls that a kill would not lose now."""
    found = (decode_frame(payload) for path in segments(journal.folder) for payload in read_frames(path).payloads)
    return {frame.call_id for frame in found if isinstance(frame, StoredCall)}


class WatchingStore(MemoryRunStore):
    """Looks into the journal whenever outcomes are stored."""

    journal: Journal
    seen: list[tuple[set[str], bool, bool]]
    """Calls that a stored outcome names; were all of them journalled, was the journal synced?"""

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        named = {call_id for step in steps for call_id in step.call_ids}
        if named:
            self.seen.append((named, named <= journalled(self.journal), self.journal.is_synced))
        return await super().save_steps(owner, steps)


async def test_every_stored_outcome_names_calls_that_the_journal_has_and_the_disk_too(
    sqlite_url: str, tmp_path: Path
) -> None:
    database, clock = Database(sqlite_url), SystemClock()
    org_id = await new_organization(database)
    journal = Journal(tmp_path / "journal", "w", fsync="interval")
    drain = UsageDrain(database, journal, tmp_path / "journal", clock)
    config = BridgeConfig.parse({"providers": {"mock": {}}, "aliases": {"m": {"candidates": ["mock/echo"]}}})
    bridge = Bridge(config, sinks=[drain], journal=journal)
    store = WatchingStore(clock)
    store.journal, store.seen = journal, []
    services = replace(Engine(clock=clock).services, models=bridge, store=store, sync_usage=drain.sync)
    plan, run_id = a_plan(paid("first"), paid("second", "first"), paid("beside")), new_id()
    await store.create(replace(a_run(plan, run_id=run_id), org_id=org_id))
    owner, run = await store.acquire(run_id, "me"), await store.load(run_id)
    assert owner is not None
    assert run is not None
    done = await InlineLane(services).execute(plan, run, owner)
    steps = await store.steps(run_id)
    await drain.aclose()
    await bridge.aclose()
    async with database.system().read() as db:
        stored = {
            str(call_id) for call_id in await db.scalars(select(CallRow.id).where(CallRow.org_id == UUID(org_id)))
        }
        paid_for = {str(call_id) for call_id in await db.scalars(select(LedgerRow.call_id))}
    await database.aclose()

    assert done.status == "succeeded"
    assert len(store.seen) >= 2
    assert all(is_journalled and is_synced for _, is_journalled, is_synced in store.seen)
    assert {call_id for step in steps for call_id in step.call_ids} == stored == paid_for
    assert len(stored) == 3
