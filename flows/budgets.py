"""What a flow's budget asks for when a call does not fit into it any more."""

from dataclasses import replace

from bridge.chat import ChatRequest, RoutingOverrides
from bridge.errors import BudgetExceededError
from flows.plan import BudgetRule

CHEAPEST = "cheapest"
"""The built-in alias over every model, the least expensive first."""
OF_THE_RUN = frozenset({"run", "unknown price"})
"""Scopes of a refusal that another model may cure: the run's own budget, also where the price is unknown."""


def is_ceiling(budget: BudgetRule | None) -> bool:
    """Does a step that cannot be paid for end the run?"""
    return budget is not None and budget.on_exceed in {"stop", "degrade"}


def cheaper(request: ChatRequest, refusal: BudgetExceededError) -> ChatRequest | None:
    """The same request to the cheapest model that can do it; None when it was that, or another budget refused it.

    Regions, latency and quality that the step asks for still bind: only its choice of models is given up.
    """
    if request.model == CHEAPEST or refusal.scope not in OF_THE_RUN:
        return None
    routing = replace(request.routing or RoutingOverrides(), policy=None, candidates=(), fallback=())
    return replace(request, model=CHEAPEST, routing=None if routing == RoutingOverrides() else routing)
