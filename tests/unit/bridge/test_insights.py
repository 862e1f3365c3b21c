from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge import insights
from bridge.call_record import CallRecord
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest, Message
from bridge.clock import FrozenClock
from bridge.decision import QualityEstimate
from bridge.insights import Insights
from bridge.learning.arbitrage import Yardstick
from bridge.learning.observations import NotEnoughDataError
from tests.support.money import made_call

START = datetime(2026, 3, 2, tzinfo=UTC)
CHEAP = ModelEntry("cheap/m", "cheap", "m")
USED = ModelEntry("acme/m", "acme", "m")


class ByFirstLetter:
    """Texts that begin alike mean the same."""

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [(1.0, 0.0) if text.startswith("r") else (0.0, 1.0) for text in texts]


def some_insights() -> Insights:
    def yardstick(org_id: str) -> Yardstick:
        del org_id
        return Yardstick(lambda entry, a, b: 10 * (a + b), lambda task, entry: QualityEstimate(0.5, 0.5), START)

    return Insights(FrozenClock(START), yardstick)


def call(n: int, org_id: str = "org") -> CallRecord:
    return replace(made_call(org_id, at=START + timedelta(hours=n)), finished_at=START + timedelta(hours=n, seconds=1))


def asked(text: str) -> ChatRequest:
    return ChatRequest("fast", (Message.of("system", "be kind"), Message.of("user", text)))


def test_traffic_is_told_by_organisation() -> None:
    found = some_insights()
    for n in range(3):
        found.note(call(n))
    found.note(call(0, "another"))

    assert found.traffic("org").calls == 3


def test_prompts_are_grouped_when_there_is_an_embedder() -> None:
    found = some_insights()
    for n, text in enumerate(("refund", "return", "hours")):
        found.note(call(n), asked(text))

    assert found.traffic("org").clusters == ()
    assert [cluster.traffic.calls for cluster in found.traffic("org", ByFirstLetter()).clusters] == [2, 1]


def test_the_kept_prompts_are_a_bounded_sample_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights, "MAX_PROMPTS", 10)
    found = some_insights()
    for n in range(200):
        found.note(call(0), asked("r" if n < 100 else "h"))

    clusters = found.traffic("org", ByFirstLetter()).clusters

    assert sum(cluster.traffic.calls for cluster in clusters) == 10
    assert len(clusters) == 2


def test_calls_teach_the_predictor_once_each() -> None:
    found = some_insights()
    for n in range(29):
        found.note(call(n))
    with pytest.raises(NotEnoughDataError):
        found.predict("org", "balanced", "acme/m", input_tokens=10)
    found.note(call(30))

    assert found.predict("org", "balanced", "acme/m", input_tokens=10).n_observations == 30


def test_forecasts_backtests_and_savings_come_from_the_same_calls() -> None:
    found = some_insights()
    for n in range(120):
        found.note(call(n))

    assert [round(one.expected) for one in found.forecast("org", "calls", hours=3)] == [1, 1, 1]
    assert found.forecast_backtest("org", "calls").error == pytest.approx(0, abs=1e-6)
    assert found.prediction_backtest("org").n_predictions == 90
    assert [one.cheaper for one in found.savings("org", [USED, CHEAP])] == ["cheap/m"]
