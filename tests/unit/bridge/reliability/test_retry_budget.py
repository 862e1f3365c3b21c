from hypothesis import given
from hypothesis import strategies as st

from bridge.reliability.retry_budget import RetryBudget


@given(st.lists(st.booleans(), max_size=300))
def test_retries_never_exceed_the_burst_and_their_share_of_calls(calls_or_retries: list[bool]) -> None:
    budget, calls, retries = RetryBudget(share=0.2, burst=10), 0, 0
    for is_call in calls_or_retries:
        if is_call:
            budget.call_made()
            calls += 1
        else:
            retries += budget.take()

    assert retries <= 10 + 0.2 * calls + 1e-6


def test_a_quiet_bridge_may_retry_at_once() -> None:
    assert RetryBudget(share=0.2, burst=10).take()
