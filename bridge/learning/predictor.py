"""What a call will need: output tokens, latency and cost of one request at one model, with intervals.

Latency and cost are linear in the tokens, learned online; both are predicted from the expected output, and the
interval is the spread of the ratios true / predicted that were seen before (split conformal prediction), so that it
holds the uncertainty of the output as well. Sources: Haykin, "Adaptive Filter Theory", recursive least squares with
forgetting; Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bridge.learning.observations import NOT_ENOUGH, NotEnoughDataError, Observation

FORGETTING = 0.995
"""Weight of the past after each observation: about 200 observations count."""
WINDOW = 400
MAX_KEYS = 2_000
START_VARIANCE = 1e6
TOKENS_UNIT = 1_000.0


@dataclass(frozen=True, slots=True)
class Interval:
    """An expected value, and where the true one falls with the asked probability."""

    expected: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Is the value inside?"""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one call will need. `cost_usd` is None when no cost was ever known."""

    output_tokens: Interval
    latency_s: Interval
    cost_usd: Interval | None
    n_observations: int


@dataclass(frozen=True, slots=True)
class CallBacktest:
    """How predictions compare with what came, each made before its call was learned from.

    Errors are mean absolute errors; the naive prediction is the mean so far of the same task and model.
    """

    n_predictions: int
    latency_error_s: float
    naive_latency_error_s: float
    latency_coverage: float
    cost_error_usd: float
    naive_cost_error_usd: float
    cost_coverage: float


class LinearModel:
    """Recursive least squares with forgetting."""

    def __init__(self, size: int, *, forgetting: float = FORGETTING) -> None:
        self._weights = [0.0] * size
        self._spread = [[START_VARIANCE if row == column else 0.0 for column in range(size)] for row in range(size)]
        self._forgetting = forgetting

    def predict(self, features: Sequence[float]) -> float:
        """The value at `features`."""
        return sum(weight * feature for weight, feature in zip(self._weights, features, strict=True))

    def learn(self, features: Sequence[float], value: float) -> None:
        """Take in one observation."""
        projected = [sum(a * b for a, b in zip(row, features, strict=True)) for row in self._spread]
        scale = self._forgetting + sum(a * b for a, b in zip(projected, features, strict=True))
        gain = [part / scale for part in projected]
        error = value - self.predict(features)
        self._weights = [weight + part * error for weight, part in zip(self._weights, gain, strict=True)]
        self._spread = [
            [
                min((cell - part * projected[column]) / self._forgetting, START_VARIANCE)
                for column, cell in enumerate(row)
            ]
            for part, row in zip(gain, self._spread, strict=True)
        ]


@dataclass(slots=True)
class _Learned:
    """What is known of one task at one model."""

    outputs: deque[int] = field(default_factory=lambda: deque[int](maxlen=WINDOW))
    latency: LinearModel = field(default_factory=lambda: LinearModel(3))
    latency_ratios: deque[float] = field(default_factory=lambda: deque[float](maxlen=WINDOW))
    cost: LinearModel = field(default_factory=lambda: LinearModel(2))
    cost_ratios: deque[float] = field(default_factory=lambda: deque[float](maxlen=WINDOW))
    count: int = 0

    def expected_output(self, limit: int | None) -> float:
        capped = [output if limit is None else min(output, limit) for output in self.outputs]
        return sum(capped) / len(capped) if capped else 0.0


class CallPredictor:
    """Learns from observations and predicts calls, by task and model. Bounded: the least used are forgotten."""

    def __init__(self, *, probability: float = 0.8) -> None:
        self._tail = (1 - probability) / 2
        self._known: dict[tuple[str, str], _Learned] = {}

    def observe(self, one: Observation) -> None:
        """Learn from one call. Cached and failed ones tell nothing about a model."""
        if one.is_cached or not one.is_success or not one.model:
            return
        known = self._known.pop((one.task, one.model), None) or _Learned()
        self._known[(one.task, one.model)] = known
        if len(self._known) > MAX_KEYS:
            del self._known[next(iter(self._known))]
        if known.count > 0:
            expected = known.expected_output(None)
            _remember(known.latency_ratios, one.latency_s, known.latency.predict(_time_features(one, expected)))
            if one.cost_nano_usd is not None:
                cost = known.cost.predict(_cost_features(one, expected))
                _remember(known.cost_ratios, one.cost_nano_usd / 1e9, cost)
        known.outputs.append(one.output_tokens)
        known.latency.learn(_time_features(one, one.output_tokens), one.latency_s)
        if one.cost_nano_usd is not None:
            known.cost.learn(_cost_features(one, one.output_tokens), one.cost_nano_usd / 1e9)
        known.count += 1

    def predict(self, task: str, model: str, *, input_tokens: int, max_output_tokens: int | None = None) -> Prediction:
        """What a call of this size will need there.

        Raises:
            NotEnoughDataError: Fewer than 30 calls of the task were answered by the model.
        """
        known = self._known.get((task, model))
        if known is None or known.count < NOT_ENOUGH:
            raise NotEnoughDataError(f"{task!r} at {model}", have=0 if known is None else known.count)
        return self._predicted(known, input_tokens, max_output_tokens)

    def _predicted(self, known: _Learned, input_tokens: int, limit: int | None) -> Prediction:
        outputs = [float(output if limit is None else min(output, limit)) for output in known.outputs]
        expected = sum(outputs) / len(outputs)
        time_s = known.latency.predict((1.0, expected / TOKENS_UNIT, input_tokens / TOKENS_UNIT))
        cost = known.cost.predict((expected / TOKENS_UNIT, input_tokens / TOKENS_UNIT))
        return Prediction(
            output_tokens=Interval(expected, quantile(outputs, self._tail), quantile(outputs, 1 - self._tail)),
            latency_s=self._around(max(time_s, 0.0), known.latency_ratios),
            cost_usd=self._around(max(cost, 0.0), known.cost_ratios) if known.cost_ratios else None,
            n_observations=known.count,
        )

    def _around(self, expected: float, ratios: Sequence[float]) -> Interval:
        low, high = quantile(ratios, self._tail), quantile(ratios, 1 - self._tail)
        return Interval(expected, expected * low, expected * high)


def backtest_calls(observations: Iterable[Observation], *, probability: float = 0.8) -> CallBacktest:
    """Predict every call from those before it, then learn from it.

    Raises:
        NotEnoughDataError: No call could be predicted.
    """
    predictor = CallPredictor(probability=probability)
    means: dict[tuple[str, str], tuple[int, float, float]] = {}
    errors: list[tuple[float, float, bool, float, float, bool]] = []
    for one in observations:
        count, latency, cost = means.get((one.task, one.model), (0, 0.0, 0.0))
        try:
            made = predictor.predict(one.task, one.model, input_tokens=one.input_tokens)
        except NotEnoughDataError:
            made = None
        true_cost = (one.cost_nano_usd or 0) / 1e9
        if made is not None and made.cost_usd is not None and one.is_success and not one.is_cached:
            errors.append(
                (
                    abs(made.latency_s.expected - one.latency_s),
                    abs(latency / count - one.latency_s),
                    made.latency_s.holds(one.latency_s),
                    abs(made.cost_usd.expected - true_cost),
                    abs(cost / count - true_cost),
                    made.cost_usd.holds(true_cost),
                )
            )
        predictor.observe(one)
        if one.is_success and not one.is_cached:
            means[(one.task, one.model)] = (count + 1, latency + one.latency_s, cost + true_cost)
    if not errors:
        raise NotEnoughDataError("a backtest", have=sum(count for count, _, _ in means.values()))
    total = len(errors)
    sums = [sum(column) / total for column in zip(*errors, strict=True)]
    return CallBacktest(total, *sums)


def quantile(values: Iterable[float], share: float) -> float:
    """The value under which `share` of the values lie, between neighbours by proportion."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _time_features(one: Observation, output_tokens: float) -> tuple[float, float, float]:
    return 1.0, output_tokens / TOKENS_UNIT, one.input_tokens / TOKENS_UNIT


def _cost_features(one: Observation, output_tokens: float) -> tuple[float, float]:
    return output_tokens / TOKENS_UNIT, one.input_tokens / TOKENS_UNIT


def _remember(ratios: deque[float], true: float, predicted: float) -> None:
    if predicted > 0:
        ratios.append(true / predicted)
    elif true == 0:
        ratios.append(1.0)
