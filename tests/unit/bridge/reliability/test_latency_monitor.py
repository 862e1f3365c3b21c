import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.reliability.latency_monitor import (
    ENOUGH_SAMPLES,
    HALF_LIFE_S,
    SKETCH_SAMPLES,
    LatencyMonitor,
    LogSketch,
    PeakEwma,
)

times = st.lists(st.floats(0.001, 100), min_size=1, max_size=200)


def test_a_peak_counts_at_once_and_fades_within_the_time_constant() -> None:
    average = PeakEwma(tau_s=30)
    average.add(1.0, 0)
    average.add(9.0, 1)
    assert average.value == 9.0
    average.add(1.0, 31)
    assert average.value == pytest.approx(1 + 8 * 0.3679, abs=0.01)


@given(times)
def test_quantiles_are_within_two_percent(samples: list[float]) -> None:
    sketch = LogSketch()
    for sample in samples:
        sketch.add(sample)
    ordered = sorted(samples)
    for share in (0.5, 0.95, 0.99, 1.0):
        exact = ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
        assert sketch.quantile(share) == pytest.approx(exact, rel=0.021)


def test_old_samples_fade() -> None:
    sketch = LogSketch()
    for _ in range(SKETCH_SAMPLES):
        sketch.add(10.0)
    for _ in range(SKETCH_SAMPLES * 2):
        sketch.add(1.0)

    assert sketch.quantile(0.5) == pytest.approx(1.0, rel=0.03)


def test_a_streamed_answer_tells_first_token_and_speed() -> None:
    monitor = LatencyMonitor()
    monitor.add(total_s=3.0, ttft_s=1.0, output_tokens=100, now_s=0)

    assert (monitor.ttft_s, monitor.s_per_output_token) == (1.0, 0.02)


def test_a_whole_answer_counts_per_token() -> None:
    monitor = LatencyMonitor()
    assert monitor.ttft_s is None
    assert monitor.quantile_s(0.95, 0.0) is None
    monitor.add(total_s=3.0, ttft_s=None, output_tokens=100, now_s=0)

    assert (monitor.ttft_s, monitor.s_per_output_token) == (0.0, 0.03)


def monitor_of(*totals_s: float, now_s: float = 0.0) -> LatencyMonitor:
    monitor = LatencyMonitor()
    for total_s in totals_s:
        monitor.add(total_s=total_s, ttft_s=None, output_tokens=10, now_s=now_s)
    return monitor


def test_a_few_slow_answers_say_nothing_about_the_95th_percentile() -> None:
    assert monitor_of(*[30.0] * (ENOUGH_SAMPLES - 1)).quantile_s(0.95, 0.0) is None
    assert monitor_of(*[30.0] * ENOUGH_SAMPLES).quantile_s(0.95, 0.0) == pytest.approx(30.0, rel=0.03)


def test_what_was_slow_and_is_not_called_any_more_gets_another_chance() -> None:
    monitor = monitor_of(*[30.0] * 2 * ENOUGH_SAMPLES)

    assert monitor.quantile_s(0.95, HALF_LIFE_S / 2) == pytest.approx(30.0, rel=0.03)
    assert monitor.quantile_s(0.95, HALF_LIFE_S * 1.1) is None


def test_new_answers_outweigh_old_ones() -> None:
    monitor = monitor_of(*[30.0] * 40)
    for _ in range(40):
        monitor.add(total_s=1.0, ttft_s=None, output_tokens=10, now_s=HALF_LIFE_S * 5)

    assert monitor.quantile_s(0.95, HALF_LIFE_S * 5) == pytest.approx(1.0, rel=0.03)
