"""What the budget bears: the money of the dearest attempt a decision may come to is held, or the decision is cut."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest
from bridge.decision import Decision
from bridge.errors import BudgetExceededError
from bridge.money import usd_number
from bridge.reservation import Reservation
from bridge.routing.policy import without
from bridge.shaping import bound_nano_usd, shaped
from bridge.worst_case import affordable_tokens

LEAST_TOKENS = 16
"""A shorter answer is not worth its prompt: the call is refused."""


class Purchase(NamedTuple):
    """A request that may be sent to the deployments of a decision."""

    request: ChatRequest
    decision: Decision
    deployments: Mapping[str, Deployment]
    is_open_ended: bool
    """Nobody asked for the limit in the request: it may be lowered to what is left."""


async def afford(purchase: Purchase, reservation: Reservation, prices: Prices, at: datetime) -> Purchase:
    """The purchase with its money held, without what the budget cannot bear.

    Raises:
        BudgetExceededError: Not even the least expensive target fits. Nothing is held then.
    """
    while True:
        request, known = purchase.request, purchase.deployments
        bounds = [bound_nano_usd(prices, request, known[name], at) for name in purchase.decision.attempts]
        try:
            await reservation.cover((), max(bounds))
        except BudgetExceededError as refusal:
            smaller = _cut(purchase, prices, at, refusal.left_nano_usd)
            if smaller is None:
                raise
            purchase = smaller
        else:
            return purchase


def _cut(purchase: Purchase, prices: Prices, at: datetime, left_nano_usd: int) -> Purchase | None:
    """What of it fits into what is left: a shorter answer, fewer targets; None when nothing does."""
    request, decision = purchase.request, purchase.decision
    targets = {name: purchase.deployments[name] for name in decision.attempts}
    bounds = {name: bound_nano_usd(prices, request, one, at) for name, one in targets.items()}
    bought = {name: _bought(prices, request, one, at, left_nano_usd) for name, one in targets.items()}
    if purchase.is_open_ended and (enough := [tokens for tokens in bought.values() if tokens >= LEAST_TOKENS]):
        request = replace(request, max_output_tokens=min(enough))
        bounds = {name: bounds[name] for name, tokens in bought.items() if tokens < LEAST_TOKENS}
    dear = {name: _too_dear(bound, left_nano_usd) for name, bound in bounds.items() if bound > left_nano_usd}
    if dear:
        decision = without(decision, dear)
    if not decision.attempts or (request is purchase.request and not dear):
        return None
    return purchase._replace(request=request, decision=decision)


def longest_answer(deployments: Mapping[str, Deployment], default_tokens: int) -> int:
    """The output limit where nobody asks for one: the largest maximum, or the default if one's maximum is unknown."""
    largest = [one.entry.max_output_tokens for one in deployments.values()]
    known = [one for one in largest if one is not None]
    return max(known) if known and len(known) == len(largest) else default_tokens


def _bought(prices: Prices, request: ChatRequest, target: Deployment, at: datetime, left_nano_usd: int) -> int:
    """The longest answer that what is left buys there, at most what is asked for already."""
    asked = shaped(request, target)
    most = affordable_tokens(prices, asked, target, at, left_nano_usd)
    limit = asked.max_output_tokens or 0
    return limit if most is None else min(limit, most)


def _too_dear(bound_nano_usd: int, left_nano_usd: int) -> str:
    bound, left = usd_number(bound_nano_usd), usd_number(left_nano_usd)
    return f"it may cost up to ${bound:.6f}, and ${left:.6f} of the budget is left"
