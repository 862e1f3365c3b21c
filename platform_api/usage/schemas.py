"""What usage looks like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Figures(BaseModel):
    """Sums of a part of the usage. `unpriced_attempts` are not in the cost: their price is unknown."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced_attempts: int = 0


class ModelFigures(Figures):
    """Sums of one model."""

    model: str
    provider: str


class DayFigures(Figures):
    """Sums of one UTC day."""

    day: str


class UsageReport(Figures):
    """Sums of a span of time."""

    by_model: list[ModelFigures]
    by_day: list[DayFigures]


class AttemptItem(BaseModel):
    """One try of a call at one deployment. With `corrects`: what its estimate was wrong by, once its end was known."""

    attempt_id: str
    deployment: str
    provider: str
    model: str
    outcome: str
    error_class: str | None
    error_message: str | None
    status: int | None
    finish_reason: str | None
    usage: dict[str, Any] | None
    cost_usd: float | None
    is_estimated: bool
    price_row: str | None
    started_at: datetime
    duration_ms: float
    ttft_ms: float | None
    corrects: str | None = None


class CallDetail(BaseModel):
    """One call with its decision and attempts."""

    call_id: str
    requested: str
    alias: str | None
    model: str | None
    provider: str | None
    decision: dict[str, Any] | None
    attempts: list[AttemptItem]
    cost_usd: float | None
    status: str
    cache: str
    cache_similarity: float | None
    is_rescued: bool
    is_stream: bool
    error_class: str | None
    error_message: str | None
    run_id: str | None
    step_path: str | None
    flow: str | None
    started_at: datetime
    duration_ms: float
