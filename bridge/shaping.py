"""A request as one target takes it, and what an attempt there costs at most."""

from collections.abc import Collection
from dataclasses import MISSING, fields, replace
from datetime import datetime
from typing import Any

from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest
from bridge.providers.adapter import chat_adapter
from bridge.structured_output import shaped_for
from bridge.worst_case import attempt_bound_nano_usd


def shaped(request: ChatRequest, target: Deployment, may_drop: Collection[str] = frozenset[str]()) -> ChatRequest:
    """The request with the target's way of asking for JSON, and cut to its largest answer.

    Of the features `may_drop`, those that cannot be expressed there are left out.
    """
    made = without_features(shaped_for(request, target), target, may_drop)
    largest, asked = target.entry.max_output_tokens, made.max_output_tokens
    if largest is None or asked is None or asked <= largest:
        return made
    return replace(made, max_output_tokens=largest)


def without_features(request: ChatRequest, target: Deployment, may_drop: Collection[str]) -> ChatRequest:
    """The request with the default of every feature in `may_drop` that the target's dialect cannot express."""
    if not may_drop:
        return request
    lacks = set(chat_adapter(target.dialect).lacks(request, target)).intersection(may_drop)
    return replace(request, **{name: DEFAULTS[name] for name in lacks if name in DEFAULTS}) if lacks else request


DEFAULTS: dict[str, Any] = {  # of any type, as fields are
    field.name: field.default for field in fields(ChatRequest) if field.default is not MISSING
}


DROPPABLE = frozenset(DEFAULTS) - {"routing", "deadline_s"}
"""Everything that a caller may let go unheeded."""


def bound_nano_usd(prices: Prices, request: ChatRequest, target: Deployment, at: datetime) -> int:
    """What one attempt there costs at most; 0 when unknown, which no budget lets through."""
    return attempt_bound_nano_usd(prices, shaped(request, target), target, at) or 0
