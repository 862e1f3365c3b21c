"""The bundled data of genai-prices: which row prices a model at a moment, and what the row is called.

The data has no row ids. A row's identity is provider, model, the day it starts to hold and a hash of its prices; the
data's version is the package's. `UpdatePrices` is never started: it would fetch over the network in a thread.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint

HASH_DIGITS = 16
NOT_CHAT = (
    "embed",
    "whisper",
    "tts",
    "transcri",
    "image",
    "moderation",
    "realtime",
    "-audio",
    "ocr",
    "rerank",
    "speech",
)
NOT_MEANT_FOR_CHAT = (
    "guard",
    "orpheus",
    "dall-e",
    "-live",
    "-search-api",
    "translate",
    "davinci",
    "babbage",
    "decider",
)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price list of one model."""

    provider: str
    model: str
    start: date | None
    prices: ModelPrice

    @property
    def id(self) -> str:
        """`provider|model|start|hash`."""
        start = "-" if self.start is None else self.start.isoformat()
        return f"{self.provider}|{self.model}|{start}|{prices_hash(self.prices)}"


@cache
def data_version() -> str:
    """The version of the bundled prices."""
    return f"genai-prices {version('genai-prices')}"


def find_model(provider: str, model_id: str) -> tuple[Provider, ModelInfo] | None:
    """The model as genai-prices knows it at `provider`; None when it does not."""
    try:
        return get_snapshot().find_provider_model(model_id, None, provider, None)
    except LookupError:
        return None


def row_at(provider: Provider, model: ModelInfo, at: datetime) -> PriceRow:
    """The price row that holds at `at`. Of several that hold the last one listed wins, as in genai-prices."""
    if isinstance(model.prices, ModelPrice):
        return PriceRow(provider.id, model.id, None, model.prices)
    chosen = model.prices[0]
    for conditional in reversed(model.prices):
        if conditional.constraint is None or conditional.constraint.active(at):
            chosen = conditional
            break
    start = chosen.constraint.start_date if isinstance(chosen.constraint, StartDateConstraint) else None
    return PriceRow(provider.id, model.id, start, chosen.prices)


def find_row(row_id: str) -> PriceRow | None:
    """The row with this id in the bundled data; None when this version of the data has no such row."""
    parts = row_id.split("|")
    if len(parts) != 4:
        return None
    provider_id, model_id, _, _ = parts
    for provider in get_snapshot().providers:
        if provider.id != provider_id:
            continue
        for model in provider.models:
            if model.id == model_id:
                return next((row for row in _rows(provider, model) if row.id == row_id), None)
    return None


def chat_model_ids(provider: str) -> tuple[str, ...]:
    """Ids of the models of `provider` that look like chat models, in the order of the data."""
    for known in get_snapshot().providers:
        if known.id == provider:
            return tuple(model.id for model in known.models if is_chat(model.id) and not model.deprecated)
    return ()


def is_chat(model_id: str) -> bool:
    """Does the name look like a chat model's? The data does not say."""
    lowered = model_id.lower()
    return not any(word in lowered for word in (*NOT_CHAT, *NOT_MEANT_FOR_CHAT))


def prices_hash(prices: ModelPrice) -> str:
    """A short hash of a price list. Equal prices, equal hash."""
    return hashlib.sha256(repr(prices).encode()).hexdigest()[:HASH_DIGITS]


def _rows(provider: Provider, model: ModelInfo) -> Iterator[PriceRow]:
    if isinstance(model.prices, ModelPrice):
        yield PriceRow(provider.id, model.id, None, model.prices)
        return
    for conditional in model.prices:
        constraint = conditional.constraint
        start = constraint.start_date if isinstance(constraint, StartDateConstraint) else None
        yield PriceRow(provider.id, model.id, start, conditional.prices)
