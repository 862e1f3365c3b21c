"""How much will come: an hourly series continued with intervals, and how well that would have gone before.

The model is a damped level times a seasonal profile (by hour of the week once there are two weeks, else by hour of the
day). Intervals are quantiles of its own past errors at the same distance, so they hold whatever the errors look like.
Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., chapters 5 (residual quantiles,
rolling origin, MASE) and 8 (exponential smoothing).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.learning.observations import NotEnoughDataError, Observation
from bridge.learning.predictor import quantile

HOUR = timedelta(hours=1)
DAY_HOURS, WEEK_HOURS = 24, 168
LEAST_HOURS = 2 * DAY_HOURS
LEVEL_SHARE = 0.06
"""Weight of the newest hour in the level."""
PROFILE_SHRINKAGE = 0.25
"""A seasonal factor counts like this many hours at the average."""
FOLD_STEP_HOURS = 6


@dataclass(frozen=True, slots=True)
class HourlySeries:
    """One number an hour, without gaps. `starts_at` is a full hour."""

    starts_at: datetime
    values: tuple[float, ...]

    @property
    def ends_at(self) -> datetime:
        """The end of the last hour."""
        return self.starts_at + HOUR * len(self.values)


@dataclass(frozen=True, slots=True)
class Forecast:
    """One future hour: expected value, and an interval that the true one falls into with the asked probability."""

    at: datetime
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """How forecasts of the past compare with what came. Errors are mean absolute errors."""

    n_forecasts: int
    error: float
    naive_error: float
    """Of repeating the same hour of the day (or week) before."""
    coverage: float
    """Share of true values inside the interval."""

    @property
    def skill(self) -> float:
        """1 - error / naive error: above 0 it beats repeating the last season."""
        return 0.0 if self.naive_error == 0 else 1 - self.error / self.naive_error


def hourly(observations: Iterable[Observation], measure: str = "calls") -> HourlySeries:
    """Observations as a series of `calls`, `tokens` or `cost_usd` an hour, from the first hour to the last whole one.

    Raises:
        NotEnoughDataError: There are none.
    """
    sums: dict[datetime, float] = {}
    for one in observations:
        hour = one.at.replace(minute=0, second=0, microsecond=0)
        sums[hour] = sums.get(hour, 0.0) + _measured(one, measure)
    if not sums:
        raise NotEnoughDataError("a series", have=0)
    first, last = min(sums), max(sums)
    hours = int((last - first) / HOUR) + 1
    return HourlySeries(first, tuple(sums.get(first + HOUR * n, 0.0) for n in range(hours)))


def forecast(series: HourlySeries, *, hours: int, probability: float = 0.8) -> tuple[Forecast, ...]:
    """The next `hours` hours.

    Raises:
        NotEnoughDataError: The series is shorter than two days.
    """
    _check(series)
    expected = _continued(series.values, hours)
    errors = _past_errors(series.values, min(hours, DAY_HOURS))
    tail = (1 - probability) / 2
    found: list[Forecast] = []
    for n, value in enumerate(expected):
        near = errors[min(n, len(errors) - 1)] if errors else []
        low, high = (quantile(near, tail), quantile(near, 1 - tail)) if near else (-value, value)
        found.append(Forecast(series.ends_at + HOUR * n, value, max(value + low, 0.0), max(value + high, 0.0)))
    return tuple(found)


def backtest(series: HourlySeries, *, hours: int = DAY_HOURS, probability: float = 0.8) -> Backtest:
    """Forecasts from past moments, each knowing only what came before it.

    Raises:
        NotEnoughDataError: There is no past moment with two days before and `hours` after it.
    """
    values = series.values
    origins = range(LEAST_HOURS + DAY_HOURS, len(values) - hours + 1, FOLD_STEP_HOURS)
    if not origins:
        raise NotEnoughDataError("a backtest", have=len(values), needed=LEAST_HOURS + DAY_HOURS + hours)
    errors: list[float] = []
    naive: list[float] = []
    inside = 0
    for origin in origins:
        known = HourlySeries(series.starts_at, values[:origin])
        for n, one in enumerate(forecast(known, hours=hours, probability=probability)):
            true = values[origin + n]
            errors.append(abs(one.expected - true))
            naive.append(abs(_repeated(known.values, n) - true))
            inside += one.low <= true <= one.high
    return Backtest(len(errors), sum(errors) / len(errors), sum(naive) / len(naive), inside / len(errors))


def _measured(one: Observation, measure: str) -> float:
    match measure:
        case "calls":
            return 1.0
        case "tokens":
            return float(one.input_tokens + one.output_tokens)
        case "cost_usd":
            return (one.cost_nano_usd or 0) / 1e9
        case _:
            raise ValueError(f"a series is of calls, tokens or cost_usd, not {measure!r}")


def _check(series: HourlySeries) -> None:
    if len(series.values) < LEAST_HOURS:
        raise NotEnoughDataError("a forecast (hours)", have=len(series.values), needed=LEAST_HOURS)


def _season(count: int) -> int:
    return WEEK_HOURS if count >= 2 * WEEK_HOURS else DAY_HOURS


def _continued(values: Sequence[float], hours: int) -> list[float]:
    """Level times profile."""
    season = _season(len(values))
    profile = _profile(values, season)
    level = _level(values, profile, season)
    return [level * profile[(len(values) + n) % season] for n in range(hours)]


def _profile(values: Sequence[float], season: int) -> list[float]:
    """Factor of each hour of the season around 1, drawn toward 1 where little is known."""
    mean = sum(values) / len(values)
    if mean == 0:
        return [1.0] * season
    sums, counts = [0.0] * season, [0] * season
    for position, value in enumerate(values):
        sums[position % season] += value
        counts[position % season] += 1
    raw = [(sums[n] / mean + PROFILE_SHRINKAGE) / (counts[n] + PROFILE_SHRINKAGE) for n in range(season)]
    scale = sum(raw) / season
    return [factor / scale for factor in raw]


def _level(values: Sequence[float], profile: Sequence[float], season: int) -> float:
    """Exponential smoothing of the values without their season, over the last three days."""
    recent = range(max(0, len(values) - 3 * DAY_HOURS), len(values))
    level = sum(values) / len(values)
    for position in recent:
        factor = profile[position % season]
        if factor > 0.05:
            level += LEVEL_SHARE * min(1.0, factor) * (values[position] / factor - level)
    return level


def _past_errors(values: Sequence[float], hours: int) -> list[list[float]]:
    """Errors of forecasts from past moments, by distance in hours; near distances share theirs."""
    origins = range(LEAST_HOURS, len(values) - 1, FOLD_STEP_HOURS)
    by_distance: list[list[float]] = [[] for _ in range(hours)]
    for origin in list(origins)[-28:]:
        for n, expected in enumerate(_continued(values[:origin], min(hours, len(values) - origin))):
            by_distance[n].append(values[origin + n] - expected)
    return [
        [error for near in by_distance[max(0, n - 3) : n + 4] for error in near] or by_distance[0] for n in range(hours)
    ]


def _repeated(values: Sequence[float], n: int) -> float:
    season = _season(len(values))
    return values[len(values) - season + n % season]
