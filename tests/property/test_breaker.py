"""Any history of a circuit breaker, with requests that end long after the circuit changed."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.config import BreakerConfig
from bridge.reliability.circuit_breaker import CircuitBreaker, Ticket

CONFIG = BreakerConfig()
BEFORE: dict[str, set[str]] = {
    "closed": {"closed", "half_open", "open"},
    "open": {"open", "closed", "half_open"},
    "half_open": {"half_open", "open"},
}
"""State -> the states that may come right before it. Only a pause that is over leads to half open."""


class Breaker(RuleBasedStateMachine):
    """One probe at a time, bounded pauses, a way back that only rises, and no way round the states."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(CONFIG, random.Random(1))
        self.now_s = 0.0
        self.out: list[Ticket] = []
        self.seen = "closed"
        self.share = 1.0

    @property
    def state(self) -> str:
        return self.breaker.state(self.now_s)

    @rule(seconds=st.one_of(st.floats(0, 3), st.floats(0, 200)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def ask(self) -> None:
        state = self.state
        is_probing = any(one.is_probe and one.period == self.breaker.force().period for one in self.out)
        ticket = self.breaker.admit(self.now_s)
        if state == "half_open":
            assert (ticket is not None) == (not is_probing)
        else:
            assert (ticket is not None) == (state == "closed")
        if ticket is not None:
            assert ticket.is_probe == (state == "half_open")
            self.out.append(ticket)

    @rule()
    def force(self) -> None:
        self.out.append(self.breaker.force())

    @precondition(lambda self: self.out)
    @rule(
        which=st.integers(0, 1000), end=st.sampled_from(["succeeded", "failed", "abandoned"]), times=st.integers(1, 6)
    )
    def end(self, which: int, end: str, times: int) -> None:
        for _ in range(min(times, len(self.out))):
            ticket = self.out.pop(which % len(self.out))
            was_current = ticket.is_probe and ticket.period == self.breaker.force().period
            was_closed = self.state == "closed"
            if end == "succeeded":
                self.breaker.succeeded(ticket, self.now_s)
            elif end == "failed":
                self.breaker.failed(ticket, self.now_s)
                if was_current and not was_closed:
                    assert self.state == "open"
            else:
                self.breaker.abandoned(ticket)

    @invariant()
    def changes_as_it_may(self) -> None:
        assert self.seen in BEFORE[self.state]
        self.seen = self.state

    @invariant()
    def never_two_probes(self) -> None:
        period = self.breaker.force().period
        assert sum(one.is_probe and one.period == period for one in self.out) <= 1

    @invariant()
    def is_bounded(self) -> None:
        assert 0 <= self.breaker.retry_in_s(self.now_s) <= CONFIG.open_max_s
        assert self.breaker.state(self.now_s + CONFIG.open_max_s) != "open"
        share = self.breaker.success_share(self.now_s)
        assert share is None or 0 <= share <= 1

    @invariant()
    def the_ramp_only_rises_while_it_is_closed(self) -> None:
        share = self.breaker.ramp_share(self.now_s)
        assert share in CONFIG.ramp
        if self.state == "closed":
            assert share >= self.share or share == CONFIG.ramp[0]
            later = [self.breaker.ramp_share(self.now_s + seconds) for seconds in (0, 5, 15, 25, 100)]
            assert later == sorted(later)
            self.share = share
        else:
            self.share = 0.0


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
