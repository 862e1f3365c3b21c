"""What the bridge has learned from its own calls: traffic, predictions, forecasts, savings. Of this process only.

Calls are noted cheaply as they end; everything else is worked out when somebody asks.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.call_record import CallRecord
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.learning.arbitrage import Opportunity, Yardstick, opportunities
from bridge.learning.forecast import Backtest, Forecast, backtest, forecast, hourly
from bridge.learning.observations import Observation, ObservationLog, observed
from bridge.learning.predictor import CallBacktest, CallPredictor, Prediction, backtest_calls
from bridge.learning.traffic_patterns import TrafficPatterns, TrafficReport
from bridge.text_embedding import TextEmbedder

MAX_PROMPTS = 1_000
"""Prompts kept for grouping, a random sample of all."""
PROMPT_CHARS = 500


@dataclass(frozen=True, slots=True)
class _Prompt:
    observation: Observation
    text: str


class Insights:
    """Learns from every call of a bridge."""

    def __init__(self, clock: Clock, yardstick: Callable[[str], Yardstick]) -> None:
        """`yardstick` compares models for one organisation."""
        self._clock = clock
        self._yardstick = yardstick
        self._log = ObservationLog()
        self._prompts: list[_Prompt] = []
        self._seen = 0
        self._rng = random.Random(0)  # noqa: S311  # a sample, no secret
        self._predictors: dict[str, CallPredictor] = {}
        self._learned = 0

    def note(self, call: CallRecord, request: ChatRequest | None = None) -> None:
        """One call has ended."""
        observation = observed(call)
        self._log.add(observation)
        self._seen += 1
        if request is not None:
            self._sample(observation, request)

    def observations(self, org_id: str) -> tuple[Observation, ...]:
        """The newest calls of an organisation, oldest first."""
        return tuple(one for one in self._log if one.org_id == org_id)

    def traffic(self, org_id: str, embedder: TextEmbedder | None = None) -> TrafficReport:
        """Calls by hour, task and size; with an embedder also groups of prompts, from a sample of them."""
        patterns = TrafficPatterns()
        for one in self.observations(org_id):
            patterns.observe(one)
        prompts = [prompt for prompt in self._prompts if prompt.observation.org_id == org_id]
        if embedder is not None and prompts:
            vectors = embedder.embed([prompt.text for prompt in prompts])
            for prompt, vector in zip(prompts, vectors, strict=True):
                patterns.group(prompt.observation, prompt.text, vector)
        return patterns.report()

    def predict(
        self, org_id: str, task: str, model: str, *, input_tokens: int, max_output_tokens: int | None = None
    ) -> Prediction:
        """What a call will need. Raises NotEnoughDataError under 30 calls of the task at the model."""
        self._learn()
        predictor = self._predictors.get(org_id) or CallPredictor()
        return predictor.predict(task, model, input_tokens=input_tokens, max_output_tokens=max_output_tokens)

    def prediction_backtest(self, org_id: str) -> CallBacktest:
        """How well `predict` would have done. Raises NotEnoughDataError."""
        return backtest_calls(self.observations(org_id))

    def forecast(self, org_id: str, measure: str, *, hours: int = 24) -> tuple[Forecast, ...]:
        """The next hours of `calls`, `tokens` or `cost_usd`. Raises NotEnoughDataError under two days."""
        return forecast(hourly(self.observations(org_id), measure), hours=hours)

    def forecast_backtest(self, org_id: str, measure: str) -> Backtest:
        """How well `forecast` would have done. Raises NotEnoughDataError."""
        return backtest(hourly(self.observations(org_id), measure))

    def savings(self, org_id: str, entries: Iterable[ModelEntry]) -> tuple[Opportunity, ...]:
        """Cheaper ways to do the same, of the models in `entries`. Raises NotEnoughDataError."""
        return opportunities(self.observations(org_id), entries, self._yardstick(org_id))

    def _learn(self) -> None:
        """Show the predictors what has come since the last time."""
        fresh = min(self._seen - self._learned, len(self._log))
        self._learned = self._seen
        for one in self._log.newest(fresh):
            self._predictors.setdefault(one.org_id, CallPredictor()).observe(one)

    def _sample(self, observation: Observation, request: ChatRequest) -> None:
        """Reservoir sampling: every prompt so far is kept with the same probability. Source: Vitter (1985)."""
        position = len(self._prompts) if len(self._prompts) < MAX_PROMPTS else self._rng.randrange(self._seen)
        if position >= MAX_PROMPTS:
            return
        newest = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        prompt = _Prompt(observation, newest[:PROMPT_CHARS])
        if position == len(self._prompts):
            self._prompts.append(prompt)
        else:
            self._prompts[position] = prompt
