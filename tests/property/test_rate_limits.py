"""The rate limiter as a machine: whatever comes when, no more goes than the limit allows."""

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from bridge.rate_limits import EXACT_WITHIN_S, Grant, Limit, MemoryRateLimiter

REQUESTS = Limit("key", "requests", 30, burst=5)
TOKENS = Limit("key", "tokens", 6_000, burst=1_000)
BOTH = (REQUESTS, TOKENS)


class RateLimitMachine(RuleBasedStateMachine):
    """Calls, settlements and time in any order."""

    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.limiter = MemoryRateLimiter()
        self.now_s = 1_000.0
        self.requests: list[float] = []
        self.tokens: list[tuple[float, float, bool]] = []
        """When, how many, and whether somebody was admitted with them; settlements are differences."""
        self.refused: tuple[float, float] | None = None

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.refused = None

    @rule(target=grants, tokens=st.integers(0, 1_200))
    def call(self, tokens: int) -> Any:
        admission = self.limiter.admit_now(BOTH, tokens, self.now_s)
        if not admission.is_admitted:
            assert admission.retry_after_s > 0
            assert math.isinf(admission.retry_after_s) == (tokens > 1_000)
            self.refused = admission.retry_after_s, tokens
            return multiple()  # pyright: ignore[reportUnknownVariableType]  # untyped there
        self.refused = None
        self.requests.append(self.now_s)
        self.tokens.append((self.now_s, tokens, True))
        return admission.grant

    @precondition(lambda self: self.refused is not None and math.isfinite(self.refused[0]))
    @rule()
    def who_waits_as_told_is_admitted(self) -> None:
        assert self.refused is not None
        wait_s, tokens = self.refused
        early = self.limiter.wait_s(BOTH, tokens, self.now_s + wait_s * 0.9)
        assert early > 0 or wait_s * 0.1 <= EXACT_WITHIN_S
        self.now_s += wait_s
        self.refused = None
        assert self.limiter.wait_s(BOTH, tokens, self.now_s) == 0

    @rule(grant=consumes(grants), share=st.floats(0, 2))
    def settle(self, grant: Grant, share: float) -> None:
        self.refused = None
        taken, used = grant.tokens, grant.tokens * share
        self.limiter.settle_now(grant, used, self.now_s)
        assert math.isclose(grant.tokens, used, abs_tol=1e-9)
        self.tokens.append((self.now_s, used - taken, False))

    @invariant()
    def no_window_holds_more_requests_than_its_share_and_the_burst(self) -> None:
        for start in range(len(self.requests)):
            for end in range(start, len(self.requests)):
                seconds = self.requests[end] - self.requests[start]
                allowed = 5 + seconds * 30 / 60
                assert end - start + 1 <= allowed + 1e-3

    @invariant()
    def nobody_is_admitted_to_a_window_beyond_its_share_and_the_burst_with_what_was_used_counted(self) -> None:
        for start in range(len(self.tokens)):
            net = 0.0
            for moment_s, tokens, is_admitted in self.tokens[start:]:
                net += tokens
                allowed = 1_000 + (moment_s - self.tokens[start][0]) * 100
                assert not is_admitted or tokens == 0 or net <= allowed + 1e-3


RateLimitMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestRateLimit = RateLimitMachine.TestCase
