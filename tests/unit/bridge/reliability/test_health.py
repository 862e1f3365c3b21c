from hypothesis import given
from hypothesis import strategies as st

from bridge.reliability.health import RollingWindow

outcomes = st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60)


def test_nothing_seen_is_no_share() -> None:
    assert RollingWindow(window_s=60, buckets=10).success_share(0) is None


@given(outcomes)
def test_what_is_counted_happened_inside_the_window_give_or_take_a_bucket(steps: list[tuple[float, bool]]) -> None:
    window, now_s = RollingWindow(window_s=60, buckets=10), 0.0
    seen: list[tuple[float, bool]] = []
    for step, is_success in steps:
        now_s += step
        window.add(now_s, is_success=is_success)
        seen.append((now_s, is_success))
    successes, failures = window.counts(now_s)

    surely = [ok for at_s, ok in seen if at_s > now_s - 54]
    possibly = [ok for at_s, ok in seen if at_s >= now_s - 60]
    assert sum(surely) <= successes <= sum(possibly)
    assert len(surely) - sum(surely) <= failures <= len(possibly) - sum(possibly)


def test_cleared_is_empty() -> None:
    window = RollingWindow(window_s=60, buckets=10)
    window.add(1, is_success=True)
    window.clear()

    assert window.counts(1) == (0, 0)
