import random

import pytest

from bridge.learning.observations import NotEnoughDataError, Observation
from bridge.learning.predictor import CallPredictor, LinearModel, backtest_calls, quantile
from tests.support.observations import observation


def calls(count: int, *, seed: int = 1, noise: float = 0.1) -> list[Observation]:
    """0.3 s + 20 ms a token of output + 0.1 ms a token of input; $1 and $4 for a million tokens."""
    rng = random.Random(seed)
    made: list[Observation] = []
    for n in range(count):
        inputs, outputs = rng.randrange(100, 4000), rng.randrange(20, 60)
        seconds = (0.3 + 0.02 * outputs + 0.0001 * inputs) * rng.lognormvariate(0, noise)
        cost = inputs * 1_000 + outputs * 4_000
        made.append(
            observation(n / 60, input_tokens=inputs, output_tokens=outputs, latency_s=seconds, cost_nano_usd=cost)
        )
    return made


def taught(count: int, **facts: float) -> CallPredictor:
    predictor = CallPredictor()
    for one in calls(count, **facts):  # pyright: ignore[reportArgumentType]
        predictor.observe(one)
    return predictor


def test_latency_and_cost_follow_the_size_of_the_prompt() -> None:
    predictor = taught(300)

    small = predictor.predict("triage", "acme/m", input_tokens=100)
    large = predictor.predict("triage", "acme/m", input_tokens=4000)

    assert large.latency_s.expected - small.latency_s.expected == pytest.approx(0.39, abs=0.12)
    assert large.cost_usd is not None
    assert large.cost_usd.expected == pytest.approx((4000 * 1 + 39.5 * 4) / 1e6, rel=0.05)


def test_an_output_limit_caps_what_is_expected() -> None:
    predicted = taught(100).predict("triage", "acme/m", input_tokens=100, max_output_tokens=10)

    assert predicted.output_tokens.expected == 10
    assert predicted.output_tokens.high == 10


def test_under_thirty_calls_nothing_is_predicted() -> None:
    with pytest.raises(NotEnoughDataError) as refusal:
        taught(12).predict("triage", "acme/m", input_tokens=100)

    assert refusal.value.missing == 18


def test_failed_and_cached_calls_teach_nothing() -> None:
    predictor = CallPredictor()
    for one in calls(40):
        predictor.observe(observation(is_success=False, latency_s=one.latency_s))
        predictor.observe(observation(is_cached=True, latency_s=0.0))

    with pytest.raises(NotEnoughDataError):
        predictor.predict("triage", "acme/m", input_tokens=1)


def test_without_a_known_price_no_cost_is_predicted() -> None:
    predictor = CallPredictor()
    for one in calls(40):
        predictor.observe(observation(latency_s=one.latency_s, cost_nano_usd=None))

    assert predictor.predict("triage", "acme/m", input_tokens=100).cost_usd is None


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.9])
def test_intervals_hold_about_as_many_true_values_as_they_promise(probability: float) -> None:
    result = backtest_calls(calls(500), probability=probability)

    assert result.latency_coverage == pytest.approx(probability, abs=0.08)
    assert result.cost_coverage == pytest.approx(probability, abs=0.08)


def test_predictions_beat_the_mean_so_far() -> None:
    result = backtest_calls(calls(500))

    assert result.latency_error_s < 0.95 * result.naive_latency_error_s
    assert result.cost_error_usd < 0.2 * result.naive_cost_error_usd
    assert result.n_predictions == 470


def test_a_model_that_became_slower_is_noticed() -> None:
    predictor = taught(300)
    for one in calls(300, seed=2):
        predictor.observe(observation(input_tokens=one.input_tokens, output_tokens=one.output_tokens, latency_s=4.0))

    assert predictor.predict("triage", "acme/m", input_tokens=1000).latency_s.expected > 2.5


def test_a_line_is_learned_exactly() -> None:
    model = LinearModel(2)
    for x in (1.0, 2.0, 3.0, 5.0):
        model.learn((1.0, x), 2 + 3 * x)

    assert model.predict((1.0, 10.0)) == pytest.approx(32, rel=1e-3)


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([1, 2], 0.25) == 1.25


def test_a_backtest_without_predictions_says_what_is_missing() -> None:
    with pytest.raises(NotEnoughDataError):
        backtest_calls(calls(10))
