import math
import random

import pytest

from bridge.learning.forecast import HourlySeries, backtest, forecast, hourly
from bridge.learning.observations import NotEnoughDataError
from tests.support.observations import START, observation


def daily(hours: int, *, noise: float = 0.2, seed: int = 1, growth: float = 0.0) -> HourlySeries:
    """A daily wave around 100 with noise."""
    rng = random.Random(seed)
    values = [
        max(0.0, (100 + growth * n) * (1 + 0.6 * math.sin(2 * math.pi * n / 24)) * rng.gauss(1, noise))
        for n in range(hours)
    ]
    return HourlySeries(START, tuple(values))


def test_a_clean_daily_wave_is_continued() -> None:
    series = daily(240, noise=0.0)

    predicted = forecast(series, hours=24)

    true = daily(264, noise=0.0).values[240:]
    assert [one.expected for one in predicted] == pytest.approx(true, rel=0.1)
    assert predicted[0].at == series.ends_at


def test_a_noisy_wave_is_forecast_better_than_by_repeating_yesterday() -> None:
    result = backtest(daily(240))

    assert result.skill > 0.15
    assert result.n_forecasts > 100


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.9])
def test_intervals_hold_about_as_many_true_values_as_they_promise(probability: float) -> None:
    result = backtest(daily(264, seed=3), probability=probability)

    assert result.coverage == pytest.approx(probability, abs=0.12)


def test_intervals_hold_what_is_expected_and_nothing_negative() -> None:
    for one in forecast(daily(120, noise=0.5), hours=48):
        assert 0 <= one.low <= one.high


def test_a_growing_level_is_followed() -> None:
    predicted = forecast(daily(240, noise=0.05, growth=1.0), hours=24)

    assert sum(one.expected for one in predicted) / 24 > 290


def test_a_series_of_zeros_stays_at_zero() -> None:
    assert {one.expected for one in forecast(HourlySeries(START, (0.0,) * 72), hours=5)} == {0.0}


def test_under_two_days_nothing_is_forecast() -> None:
    with pytest.raises(NotEnoughDataError) as refusal:
        forecast(daily(40), hours=1)

    assert refusal.value.missing == 8


def test_a_backtest_needs_a_past() -> None:
    with pytest.raises(NotEnoughDataError):
        backtest(daily(60))


@pytest.mark.parametrize(
    ("measure", "sums"), [("calls", (2, 0, 1)), ("tokens", (1000, 0, 500)), ("cost_usd", (0.0002, 0, 0.0001))]
)
def test_calls_are_counted_by_the_hour_with_gaps_as_zero(measure: str, sums: tuple[float, ...]) -> None:
    series = hourly([observation(0.1), observation(0.9), observation(2.5)], measure)

    assert series.values == pytest.approx(sums)
    assert series.starts_at == START


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="calls, tokens or cost_usd"):
        hourly([observation()], "smiles")


def test_no_calls_make_no_series() -> None:
    with pytest.raises(NotEnoughDataError):
        hourly([])
