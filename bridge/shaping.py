"""A request as one target takes it, and what an attempt there costs at most."""

from dataclasses import replace
from datetime import datetime

from bridge.budgets import attempt_bound_nano_usd
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest
from bridge.structured_output import shaped_for


def shaped(request: ChatRequest, target: Deployment) -> ChatRequest:
    """The request with the target's way of asking for JSON, and cut to its largest answer."""
    made = shaped_for(request, target)
    largest, asked = target.entry.max_output_tokens, made.max_output_tokens
    if largest is None or asked is None or asked <= largest:
        return made
    return replace(made, max_output_tokens=largest)


def bound_nano_usd(prices: Prices, request: ChatRequest, target: Deployment, at: datetime) -> int:
    """What one attempt there costs at most; 0 when unknown, which no budget lets through."""
    return attempt_bound_nano_usd(prices, shaped(request, target), target, at) or 0
