"""What a killed process leaves in its journal, and what becomes of it in the ledger and the budgets."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from bridge.budget_periods import window_start
from bridge.call_record import BudgetScope, CallRecord, Dispatch
from bridge.clock import FrozenClock
from bridge.identifiers import new_id
from bridge.lease_pool import Claim
from platform_api.budgets import service
from platform_api.budgets.repository import BudgetRepository
from platform_api.database.session import Database
from platform_api.database.tables.usage import CallRow, JournalWriterRow, LedgerRow
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal, segments
from platform_api.usage.journal_frames import encode_frame
from platform_api.usage.open_calls import CUT_OFF
from platform_api.usage.service import call_detail
from tests.support.full_disk import full_disk
from tests.support.money import NOW, made_call, made_dispatch, new_organization

WORST_CASE = 900


class Ledger:
    """An organisation's ledger, and processes that write journals for it."""

    def __init__(self, database: Database, root: Path, org_id: str) -> None:
        self.database = database
        self.root = root
        self.org_id = org_id

    def dispatch(self, call_id: str, attempt_id: str | None = None) -> Dispatch:
        """An attempt that may cost 900 nano-dollars."""
        claim = Claim(call_id, self.org_id, (BudgetScope("org", self.org_id),), NOW)
        return replaced(made_dispatch(claim, attempt_id=attempt_id or new_id()))

    def ended(self, *sent: Dispatch, cost_nano_usd: int = 40) -> CallRecord:
        """The record of a call whose attempts they were, each at that cost."""
        call = made_call(self.org_id, cost_nano_usd=cost_nano_usd, call_id=sent[0].call_id)
        attempts = tuple(replace(call.attempts[0], attempt_id=one.attempt_id) for one in sent)
        return replace(call, attempts=attempts, context=sent[0].context, alias=None)

    def killed(self, *write: Callable[[Journal], None], name: str | None = None) -> Journal:
        """The journal of a process that wrote so and was killed."""
        journal = Journal(self.root, name or new_id())
        for one in write:
            one(journal)
        journal.close()
        return journal

    async def adopted(self) -> None:
        """Somebody starts, takes in what dead processes left, and ends."""
        drain = UsageDrain(self.database, Journal(self.root, new_id()), self.root, FrozenClock(NOW))
        await drain.start()
        await drain.aclose()

    async def rows(self) -> list[tuple[int | None, bool, bool]]:
        """Cost, is it an estimate, is it a correction: of every row, by cost."""
        async with self.database.system().read() as db:
            found = (await db.scalars(select(LedgerRow).order_by(LedgerRow.cost_nano_usd))).all()
        return [(row.cost_nano_usd, row.is_estimated, row.corrects is not None) for row in found]

    async def call(self, call_id: str) -> CallRow:
        async with self.database.system().read() as db:
            return await db.get_one(CallRow, UUID(call_id))

    async def settled(self, budget_id: UUID) -> int:
        """What the budget counts as spent."""
        async with self.database.system().read() as db:
            key = (budget_id, window_start("total", NOW))
            return (await BudgetRepository(db).spent(UUID(self.org_id), [key]))[key].settled_nano_usd

    async def budget(self) -> UUID:
        async with self.database.for_org(UUID(self.org_id))() as db:
            scope = BudgetScope("org", self.org_id)
            row = await service.set_limit(db, UUID(self.org_id), scope, "total", 10_000, now=NOW, new_id=new_id)
            return row.id


def replaced(sent: Dispatch) -> Dispatch:
    """At a worst case of its own, whatever the call holds."""
    return msgspec.structs.replace(sent, worst_case_nano_usd=WORST_CASE)


@pytest.fixture
async def ledger(database_url: str, tmp_path: Path) -> AsyncGenerator[Ledger]:
    database = Database(database_url)
    yield Ledger(database, tmp_path / "journal", await new_organization(database))
    await database.aclose()


async def test_an_attempt_without_an_end_is_estimated_once_under_its_own_id_and_request(ledger: Ledger) -> None:
    sent = ledger.dispatch(new_id())
    budget = await ledger.budget()
    ledger.killed(lambda journal: journal.dispatched(sent))
    await ledger.adopted()
    await ledger.adopted()
    call = await ledger.call(sent.call_id)
    async with ledger.database.system().read() as db:
        (attempt,) = (await call_detail(db, UUID(ledger.org_id), call.id)).attempts

    assert await ledger.rows() == [(WORST_CASE, True, False)]
    assert (call.status, call.request_id, call.error_message) == ("failed", "req-1", CUT_OFF)
    assert (attempt.attempt_id, attempt.deployment) == (sent.attempt_id, "acme/m")
    assert await ledger.settled(budget) == WORST_CASE


async def test_of_a_cut_off_call_ends_that_are_known_count_as_they_were(ledger: Ledger) -> None:
    first = ledger.dispatch(new_id())
    second = ledger.dispatch(first.call_id)
    failed = ledger.ended(first).attempts[0]
    ledger.killed(
        lambda journal: journal.dispatched(first),
        lambda journal: journal.settled(first.call_id, failed),
        lambda journal: journal.dispatched(second),
    )
    await ledger.adopted()

    assert await ledger.rows() == [(40, False, False), (WORST_CASE, True, False)]


async def test_a_record_that_turns_up_later_corrects_the_estimate_once_also_in_the_budget(ledger: Ledger) -> None:
    budget = await ledger.budget()
    sent = ledger.dispatch(new_id())
    unheard = ledger.dispatch(sent.call_id)
    ledger.killed(lambda journal: journal.dispatched(sent))
    await ledger.adopted()
    late = ledger.ended(sent, unheard)
    for _ in range(2):
        ledger.killed(lambda journal: journal.record(late))
        await ledger.adopted()
    call = await ledger.call(sent.call_id)
    async with ledger.database.system().read() as db:
        told = await call_detail(db, UUID(ledger.org_id), call.id)

    assert await ledger.rows() == [(40 - WORST_CASE, False, True), (40, False, False), (WORST_CASE, True, False)]
    assert await ledger.settled(budget) == 80
    assert (call.status, call.error_message) == ("succeeded", None)
    assert told.cost_usd == pytest.approx(80e-9)
    assert [one.corrects for one in told.attempts if one.corrects] == [sent.attempt_id]


async def test_an_end_that_turns_up_later_corrects_its_attempt_and_leaves_the_call_cut_off(ledger: Ledger) -> None:
    sent = ledger.dispatch(new_id())
    ledger.killed(lambda journal: journal.dispatched(sent))
    await ledger.adopted()
    ended = ledger.ended(sent).attempts[0]
    ledger.killed(lambda journal: journal.dispatched(sent), lambda journal: journal.settled(sent.call_id, ended))
    await ledger.adopted()

    assert await ledger.rows() == [(40 - WORST_CASE, False, True), (WORST_CASE, True, False)]
    assert (await ledger.call(sent.call_id)).error_message == CUT_OFF


async def test_a_living_process_drains_its_calls_and_leaves_those_under_way_alone(ledger: Ledger) -> None:
    journal = Journal(ledger.root, new_id())
    drain = UsageDrain(ledger.database, journal, ledger.root, FrozenClock(NOW))
    await drain.start()
    over, under_way = ledger.dispatch(new_id()), ledger.dispatch(new_id())
    journal.dispatched(over)
    journal.dispatched(under_way)
    drain.record(ledger.ended(over))
    await drain.flush()
    await ledger.adopted()
    before = await ledger.rows()
    drain.record(ledger.ended(under_way, cost_nano_usd=50))
    await drain.aclose()

    assert before == [(40, False, False)]
    assert await ledger.rows() == [(40, False, False), (50, False, False)]


async def test_the_journal_of_a_process_that_dies_later_is_adopted_by_one_that_runs_on(ledger: Ledger) -> None:
    doomed = Journal(ledger.root, new_id())
    drain = UsageDrain(
        ledger.database, Journal(ledger.root, new_id()), ledger.root, FrozenClock(NOW), look_around_s=0.02
    )
    await drain.start()
    sent = ledger.dispatch(new_id())
    doomed.dispatched(sent)
    doomed.close()
    async with asyncio.timeout(20):
        while doomed.folder.exists():
            await asyncio.sleep(0.01)
    await drain.aclose()

    assert await ledger.rows() == [(WORST_CASE, True, False)]
    async with ledger.database.system().read() as db:
        assert (await db.scalars(select(JournalWriterRow.closed_at))).all() == [NOW]


async def test_two_that_start_at_once_adopt_a_journal_once(ledger: Ledger) -> None:
    sent = [ledger.dispatch(new_id()) for _ in range(20)]
    for one in sent:
        ledger.killed(lambda journal, one=one: journal.dispatched(one))
    await asyncio.gather(ledger.adopted(), ledger.adopted())

    assert await ledger.rows() == [(WORST_CASE, True, False)] * 20
    assert list(ledger.root.iterdir()) == []


async def test_a_kill_between_storing_a_journal_and_removing_it_counts_nothing_twice(ledger: Ledger) -> None:
    budget = await ledger.budget()
    sent, over = ledger.dispatch(new_id()), ledger.dispatch(new_id())
    dead = ledger.killed(
        lambda journal: journal.dispatched(sent),
        lambda journal: journal.dispatched(over),
        lambda journal: journal.record(ledger.ended(over)),
    )
    content = segments(dead.folder)[0].read_bytes()
    await ledger.adopted()
    dead.folder.mkdir()
    (dead.folder / "00000001.log").write_bytes(content)
    await ledger.adopted()

    assert await ledger.rows() == [(40, False, False), (WORST_CASE, True, False)]
    assert await ledger.settled(budget) == 40 + WORST_CASE


async def test_what_a_loss_of_power_damaged_is_left_out_and_the_rest_of_the_segment_is_read(ledger: Ledger) -> None:
    first, second = ledger.dispatch(new_id()), ledger.dispatch(new_id())
    dead = ledger.killed(lambda journal: journal.record(ledger.ended(first)))
    with segments(dead.folder)[0].open("ab") as file:
        file.write(bytes(4096))
    again = Journal(ledger.root, "next")
    again.record(ledger.ended(second))
    with segments(dead.folder)[0].open("ab") as file:
        file.write(segments(again.folder)[0].read_bytes() + encode_frame(b'{"cut')[:-2])
    again.close()
    segments(again.folder)[0].unlink()
    await ledger.adopted()

    assert await ledger.rows() == [(40, False, False)] * 2


async def test_a_call_that_the_disk_did_not_take_reaches_the_ledger_from_memory(ledger: Ledger) -> None:
    journal = Journal(ledger.root, new_id())
    drain = UsageDrain(ledger.database, journal, ledger.root, FrozenClock(NOW))
    await drain.start()
    sent = ledger.dispatch(new_id())
    journal.dispatched(sent)
    with full_disk(journal):
        drain.record(ledger.ended(sent))
        waited = drain.undrained_bytes
        await drain.flush()
        stored = await ledger.rows()
    await drain.aclose()

    assert stored == await ledger.rows() == [(40, False, False)]
    assert waited > len(journal.unwritten) == 0


async def test_how_far_the_ledger_is_behind_is_told_while_the_database_is_away(sqlite_url: str, tmp_path: Path) -> None:
    database, clock = Database(sqlite_url), FrozenClock(NOW)
    org_id = await new_organization(database)
    journal = Journal(tmp_path / "journal", "w")
    drain = UsageDrain(database, journal, tmp_path / "journal", clock)
    assert (drain.lag_s, drain.undrained_bytes) == (0.0, 0)
    drain.record(made_call(org_id))
    clock.advance(7)
    drain.record(made_call(org_id))

    assert drain.lag_s == 7.0
    assert drain.undrained_bytes > 500
    await drain.flush()
    assert (drain.lag_s, drain.undrained_bytes) == (0.0, 0)
    await drain.aclose()
    await database.aclose()
