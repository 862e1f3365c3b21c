"""Spend caps: the rule for what a call may cost at most, and a ledger in memory. SQL is the authority elsewhere.

An attempt is reserved at its worst case: no token is shorter than a byte, every price is the dearest that may apply,
and the answer is as long as the limit that is sent. Nothing is dispatched before its money is held.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from bridge.call_record import BudgetScope, CallContext, CallRecord, Lease
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ImagePart
from bridge.errors import BudgetExceededError
from bridge.identifiers import NewId
from bridge.money import usd_number
from bridge.tokens import prompt_bytes

IMAGE_BOUND_TOKENS = 50_000
"""More than any model of the catalogue counts for one image."""


def scopes_of(context: CallContext, alias: str | None) -> tuple[BudgetScope, ...]:
    """Everything a budget may be set on that this call belongs to, in id order."""
    found: list[BudgetScope] = [BudgetScope("org", context.org_id)]
    if context.key_id is not None:
        found.append(BudgetScope("key", context.key_id))
    if alias is not None:
        found.append(BudgetScope("alias", alias))
    if context.flow is not None:
        found.append(BudgetScope("flow", context.flow))
    if context.run_id is not None:
        found.append(BudgetScope("run", context.run_id))
    return tuple(sorted(found))


def input_bound_tokens(request: ChatRequest) -> int:
    """No tokenizer makes more input tokens of the request: a token is at least one byte; images count at the most."""
    images = sum(isinstance(part, ImagePart) for message in request.messages for part in message.content)
    return prompt_bytes(request) + IMAGE_BOUND_TOKENS * images


def attempt_bound_nano_usd(prices: Prices, request: ChatRequest, target: Deployment, at: datetime) -> int | None:
    """What one attempt at `target` costs at most; None when its price is unknown.

    The request must carry its output limit.
    """
    output_tokens = (request.max_output_tokens or 0) * max(request.n, 1)
    return prices.worst_case_nano_usd(target, input_bound_tokens(request), output_tokens, at)


@dataclass(slots=True)
class _Budget:
    id: str
    org_id: str
    scope: BudgetScope
    limit_nano_usd: int
    settled_nano_usd: int = 0
    held: dict[str, int] = field(default_factory=dict[str, int])
    """Lease id -> nano-dollars."""

    @property
    def left_nano_usd(self) -> int:
        return self.limit_nano_usd - self.settled_nano_usd - sum(self.held.values())


class MemoryBudgetLedger:
    """Budgets of this process, without periods. Also a CallSink: a recorded call settles its leases."""

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._budgets: dict[str, _Budget] = {}
        self._settled_calls: set[str] = set()
        self._lock = asyncio.Lock()

    def set_budget(self, org_id: str, scope: BudgetScope, limit_nano_usd: int) -> str:
        """Set a hard limit and return the budget's id."""
        budget_id = self._new_id()
        self._budgets[budget_id] = _Budget(budget_id, org_id, scope, limit_nano_usd)
        return budget_id

    def left_nano_usd(self, budget_id: str) -> int:
        """What may still be spent or held."""
        return self._budgets[budget_id].left_nano_usd

    async def has_budget(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> bool:
        return bool(self._covering(org_id, scopes))

    async def lease(self, org_id: str, scopes: tuple[BudgetScope, ...], needed_nano_usd: int) -> tuple[Lease, ...]:
        async with self._lock:
            budgets = self._covering(org_id, scopes)
            for budget in budgets:
                if budget.left_nano_usd < needed_nano_usd:
                    raise _exceeded(budget, needed_nano_usd)
            leases = tuple(
                Lease(id=self._new_id(), budget_id=budget.id, scope=budget.scope, amount_nano_usd=needed_nano_usd)
                for budget in budgets
            )
            for lease in leases:
                self._budgets[lease.budget_id].held[lease.id] = lease.amount_nano_usd
            return leases

    async def renew(self, leases: tuple[Lease, ...]) -> None:
        del leases

    async def give_back(self, leases: tuple[Lease, ...]) -> None:
        for lease in leases:
            self._budgets[lease.budget_id].held.pop(lease.id, None)

    def record(self, call: CallRecord) -> None:
        """Settle a call: its leases end, its cost is spent. An unknown cost settles at what was held. Idempotent."""
        if call.call_id in self._settled_calls:
            return
        self._settled_calls.add(call.call_id)
        held: dict[str, int] = {}
        for lease in call.leases:
            amount = self._budgets[lease.budget_id].held.pop(lease.id, 0)
            held[lease.budget_id] = held.get(lease.budget_id, 0) + amount
        cost = call.cost_nano_usd
        for budget_id, amount in held.items():
            self._budgets[budget_id].settled_nano_usd += amount if cost is None else cost

    def _covering(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> list[_Budget]:
        return [budget for budget in self._budgets.values() if budget.org_id == org_id and budget.scope in scopes]


def _exceeded(budget: _Budget, needed_nano_usd: int) -> BudgetExceededError:
    needed, left = usd_number(needed_nano_usd), usd_number(max(budget.left_nano_usd, 0))
    return BudgetExceededError(
        f"the call may cost up to ${needed:.6f}, and ${left:.6f} of the {budget.scope.kind} budget is left",
        scope=f"{budget.scope.kind}:{budget.scope.id}",
        limit_nano_usd=budget.limit_nano_usd,
        left_nano_usd=max(budget.left_nano_usd, 0),
    )
