"""Any history of a budget: processes that lease, hold, settle, give back, are killed and drained late, in any order."""

import asyncio
import itertools
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bridge.budgets import MemoryBudgetLedger, taken_nano_usd
from bridge.call_record import BudgetScope, CallRecord
from bridge.clock import FrozenClock
from bridge.errors import BudgetExceededError, BudgetUnavailableError
from bridge.lease_pool import Claim, LeasePool
from tests.support.money import made_call, made_dispatch

ORG = BudgetScope("org", "acme")
KEY = BudgetScope("key", "k")
LIMITS = {ORG: 10_000, KEY: 3000}
PROCESSES = 3
START = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
"""Ten minutes before the end of a month."""


class Process:
    """A pool, and what it journalled that was not drained yet."""

    def __init__(self, ledger: MemoryBudgetLedger, clock: FrozenClock, ids: "itertools.count[int]") -> None:
        self.pool = LeasePool(ledger, clock, lambda: f"lease-{next(ids):05}")
        self.journal: list[CallRecord] = []


class BudgetMachine(RuleBasedStateMachine):
    """What is held and settled is never above the limit, whatever happens; in the end nothing is held."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FrozenClock(START)
        self.ids = itertools.count()
        self.ledger = MemoryBudgetLedger(lambda: f"budget-{next(self.ids):05}")
        self.budgets = {
            scope: self.ledger.set_budget("acme", scope, limit, period="month") for scope, limit in LIMITS.items()
        }
        self.moments = [START]
        self.under_way: dict[str, tuple[Claim, Process]] = {}
        self.processes = [Process(self.ledger, self.clock, self.ids) for _ in range(PROCESSES)]

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end."""
        return self.runner.run(work)

    @rule(target=calls, number=st.integers(0, PROCESSES - 1), with_key=st.booleans(), amount=st.integers(1, 4000))
    def hold(self, number: int, with_key: bool, amount: int) -> Any:
        process = self.processes[number]
        scopes = (KEY, ORG) if with_key else (ORG,)
        claim = Claim(f"call-{next(self.ids):05}", "acme", scopes, self.clock.now())
        try:
            self.now(process.pool.hold(claim, amount))
        except (BudgetExceededError, BudgetUnavailableError):
            assert claim.leases == ()
            return cast("Any", multiple)()
        self.ledger.dispatched(made_dispatch(claim))
        self.under_way[claim.call_id] = (claim, process)
        return claim.call_id

    @rule(call=calls, more=st.integers(1, 2000))
    def hold_more(self, call: str, more: int) -> None:
        if call not in self.under_way:
            return
        claim, process = self.under_way[call]
        before = claim.leases
        try:
            self.now(process.pool.hold(claim, claim.total_nano_usd + more))
        except (BudgetExceededError, BudgetUnavailableError):
            assert claim.leases == before
        else:
            self.ledger.dispatched(made_dispatch(claim))

    @rule(call=consumes(calls), share=st.floats(0, 1), times=st.integers(1, 3))
    def settle(self, call: str, share: float, times: int) -> None:
        if call not in self.under_way:
            return
        claim, process = self.under_way.pop(call)
        cost = int(claim.total_nano_usd * share)
        record = made_call(
            "acme",
            cost_nano_usd=cost,
            leases=claim.leases,
            at=claim.started_at,
            call_id=claim.call_id,
            key_id="k" if KEY in claim.scopes else None,
        )
        for _ in range(times):
            process.journal.append(record)
            process.pool.settle(record)

    @rule(call=consumes(calls))
    def release(self, call: str) -> None:
        if call in self.under_way:
            claim, process = self.under_way.pop(call)
            process.pool.release(claim)
            record = made_call("acme", cost_nano_usd=0, at=claim.started_at, call_id=claim.call_id)
            process.journal.append(record)

    @rule(number=st.integers(0, PROCESSES - 1))
    def drain(self, number: int) -> None:
        self._drain(self.processes[number])

    @rule(number=st.integers(0, PROCESSES - 1))
    def tend(self, number: int) -> None:
        self.now(self.processes[number].pool.tend())

    @rule(number=st.integers(0, PROCESSES - 1))
    def return_idle(self, number: int) -> None:
        self.now(self.processes[number].pool.return_idle())

    @rule(number=st.integers(0, PROCESSES - 1))
    def kill(self, number: int) -> None:
        """Its calls are cut off; its journal is drained by another, then its leases end; a new process begins."""
        dead = self.processes[number]
        self.under_way = {key: one for key, one in self.under_way.items() if one[1] is not dead}
        self._drain(dead)
        self.ledger.bury(lease.id for lease in dead.pool.leases)
        self.processes[number] = Process(self.ledger, self.clock, self.ids)

    @rule(seconds=st.sampled_from([1, 15, 25, 61, 700]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.moments.append(self.clock.now())

    @invariant()
    def never_above_the_limit(self) -> None:
        for scope, budget in self.budgets.items():
            for at in (START, self.clock.now()):
                held, settled = self.ledger.held_nano_usd(budget, at), self.ledger.settled_nano_usd(budget, at)
                assert held >= 0
                assert held + settled <= LIMITS[scope]

    @invariant()
    def processes_lend_what_they_lease(self) -> None:
        """A lease covers what is free in it, what calls hold, and what ended calls cost and was not drained."""
        for process in self.processes:
            undrained: dict[str, int] = {}
            for record in {one.call_id: one for one in process.journal}.values():
                for share in record.leases:
                    taken = taken_nano_usd(share.amount_nano_usd, record.cost_nano_usd)
                    undrained[share.id] = undrained.get(share.id, 0) + taken
            for lease in process.pool.leases:
                assert min(lease.free_nano_usd, lease.held_nano_usd) >= 0
                needed = lease.free_nano_usd + lease.held_nano_usd + undrained.get(lease.id, 0)
                assert self.ledger.leased_nano_usd(lease.id) == needed

    def teardown(self) -> None:
        for claim, process in list(self.under_way.values()):
            process.pool.release(claim)
        for process in self.processes:
            self._drain(process)
            self.now(process.pool.aclose())
        for budget in self.budgets.values():
            for at in self.moments:
                assert self.ledger.held_nano_usd(budget, at) == 0
        self.runner.close()

    def _drain(self, process: Process) -> None:
        for record in process.journal:
            self.ledger.record(record)
        process.journal.clear()


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
