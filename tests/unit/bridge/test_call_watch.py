from dataclasses import dataclass, field

import pytest

from bridge.call_record import AttemptRecord, BudgetScope, Dispatch
from bridge.errors import JournalUnavailableError, ProviderError
from tests.support.bridge_calls import CONTEXT, TWO, asking, bench, failing, read, the_call

PRICED = {"models": {"mock/first": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "max_output_tokens": 500}}}


@dataclass(slots=True)
class KeptFrames:
    """A CallJournal in memory, which may be full."""

    frames: list[Dispatch | tuple[str, AttemptRecord]] = field(
        default_factory=list[Dispatch | tuple[str, AttemptRecord]]
    )
    is_full: bool = False

    def dispatched(self, attempt: Dispatch) -> None:
        if self.is_full:
            raise JournalUnavailableError("full")
        self.frames.append(attempt)

    def settled(self, call_id: str, attempt: AttemptRecord) -> None:
        self.frames.append((call_id, attempt))

    @property
    def told(self) -> list[tuple[str, str]]:
        """What was written down, in order."""
        return [
            ("dispatched", frame.deployment) if isinstance(frame, Dispatch) else (frame[1].outcome, frame[1].deployment)
            for frame in self.frames
        ]

    @property
    def sent(self) -> list[Dispatch]:
        return [frame for frame in self.frames if isinstance(frame, Dispatch)]


async def test_an_attempt_is_written_down_with_its_worst_case_before_it_is_sent() -> None:
    journal = KeptFrames()
    one = bench(sections=PRICED, journal=journal)
    await one.bridge.chat(asking("mock/first", "x" * 10, max_output_tokens=100), CONTEXT)
    (sent,) = journal.sent
    (attempt,) = the_call(one).attempts

    assert (sent.attempt_id, sent.call_id) == (attempt.attempt_id, the_call(one).call_id)
    assert sent.worst_case_nano_usd is not None
    assert sent.worst_case_nano_usd >= max(attempt.cost_nano_usd or 0, 100 * 2000)
    assert journal.told == [("dispatched", "mock/first")]


async def test_without_an_output_limit_the_worst_case_is_the_models_longest_answer() -> None:
    journal = KeptFrames()
    one = bench(sections=PRICED, journal=journal)
    await one.bridge.chat(asking("mock/first"), CONTEXT)

    assert 500 * 2000 <= (journal.sent[0].worst_case_nano_usd or 0) < 500 * 2000 + 1_000_000


async def test_a_failure_is_settled_before_the_next_attempt_is_dispatched() -> None:
    journal = KeptFrames()
    one = bench(sections=TWO, faults=[failing("status", times=None)], journal=journal)
    await one.bridge.chat(asking("two"), CONTEXT)

    assert journal.told[-1] == ("dispatched", "mock/second")
    assert journal.told[0::2] == [("dispatched", name) for _, name in journal.told[0::2]]
    assert {outcome for outcome, _ in journal.told[1::2]} == {"failed"}


async def test_what_the_call_holds_is_written_down_with_the_attempt() -> None:
    journal = KeptFrames()
    one = bench(sections=PRICED, journal=journal)
    one.ledger.set_budget("acme", BudgetScope("org", "acme"), 1_000_000_000)
    await one.bridge.chat(asking("mock/first", max_output_tokens=100), CONTEXT)
    (sent,) = journal.sent

    assert sum(lease.amount_nano_usd for lease in sent.leases) >= (sent.worst_case_nano_usd or 0) > 0


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_journal_that_takes_nothing_keeps_the_request_from_leaving_and_money_from_being_held(
    is_stream: bool,
) -> None:
    journal = KeptFrames(is_full=True)
    one = bench(sections=PRICED, journal=journal)
    budget = one.ledger.set_budget("acme", BudgetScope("org", "acme"), 1_000_000_000)
    request = asking("mock/first", max_output_tokens=100)
    with pytest.raises(JournalUnavailableError):
        await (read(one.bridge.stream(request, CONTEXT)) if is_stream else one.bridge.chat(request, CONTEXT))

    assert one.mock.calls == []
    assert the_call(one).attempts == ()
    await one.bridge.return_idle_money()
    assert (one.ledger.held_nano_usd(budget, one.clock.now()), one.ledger.settled_nano_usd(budget)) == (0, 0)


async def test_a_journal_that_fills_up_between_two_attempts_ends_the_call_with_the_first_ones_record() -> None:
    class Filling(KeptFrames):
        def settled(self, call_id: str, attempt: AttemptRecord) -> None:
            KeptFrames.settled(self, call_id, attempt)
            self.is_full = True

    journal = Filling()
    one = bench(sections=TWO, faults=[failing("status", times=None)], journal=journal)
    with pytest.raises(JournalUnavailableError):
        await one.bridge.chat(asking("two"), CONTEXT)

    assert journal.told == [("dispatched", "mock/first"), ("failed", "mock/first")]
    assert [attempt.outcome for attempt in the_call(one).attempts] == ["failed"]


async def test_every_end_of_an_attempt_that_failed_is_told_once() -> None:
    journal = KeptFrames()
    one = bench(faults=[{"kind": "malformed", "times": None}], journal=journal)
    with pytest.raises(ProviderError):
        await one.bridge.chat(asking("mock/only"), CONTEXT)
    settled = [frame[1].attempt_id for frame in journal.frames if isinstance(frame, tuple)]

    assert settled == [attempt.attempt_id for attempt in the_call(one).attempts]
    assert len(set(settled)) == len(settled)
