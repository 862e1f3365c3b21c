"""Scorers of what an answer took: latency and cost."""

from typing import Annotated

from pydantic import Field

from evaluators.errors import NoScoreError
from evaluators.scorer import Answer, Example, Score, Scorer, scorer


@scorer("latency", high=None, direction="lower")
def latency(*, max_ms: Annotated[float, Field(gt=0)] | None = None) -> Scorer:
    """Milliseconds the answer took; passed when at most `max_ms`."""

    async def score(example: Example, answer: Answer) -> Score:
        del example
        return _bounded(answer.latency_ms, max_ms, "latency", "ms")

    return score


@scorer("cost", high=None, direction="lower")
def cost(*, max_usd: Annotated[float, Field(ge=0)] | None = None) -> Scorer:
    """US dollars the answer cost; passed when at most `max_usd`. An unknown price has no score, it is never 0."""

    async def score(example: Example, answer: Answer) -> Score:
        del example
        return _bounded(answer.cost_usd, max_usd, "cost", "USD")

    return score


def _bounded(value: float | None, most: float | None, what: str, unit: str) -> Score:
    if value is None:
        raise NoScoreError(f"the {what} is not known")
    if most is None:
        return Score(value=value, reason=f"{value:g} {unit}")
    return Score(value=value, reason=f"{value:g} {unit}, at most {most:g} wanted", passed=value <= most)
