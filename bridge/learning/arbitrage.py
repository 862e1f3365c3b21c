"""The same for less: where the same model, or one as good, costs less for the calls that were really made.

Prices are compared on the tenant's own calls, never on list prices alone; input counts as uncached at the other model,
so that the saving is at least what is said. Quality is compared by bounds: the other model's lower bound must reach
the used one's mean minus a tolerance.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.catalog.entries import ModelEntry
from bridge.decision import QualityEstimate
from bridge.learning.observations import NOT_ENOUGH, NotEnoughDataError, Observation

TOLERANCE = 0.02
"""Quality that may be given up."""
LEAST_SAVING_SHARE = 0.05
MONTH = timedelta(days=30)

CostOf = Callable[[ModelEntry, int, int], int | None]
"""Entry, input tokens, output tokens -> nano-dollars; None when the price is unknown."""
QualityOf = Callable[[str, ModelEntry], QualityEstimate | None]
"""Task, entry -> quality."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What models are compared by. `now` ends the observed period."""

    cost_of: CostOf
    quality_of: QualityOf
    now: datetime


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A cheaper way to do what one model does for one task."""

    task: str
    model: str
    cheaper: str
    is_same_model: bool
    """The same weights elsewhere: nothing is risked but latency and reliability."""
    calls: int
    cost_usd: float
    """What the observed calls cost."""
    cost_there_usd: float
    saving_usd_per_month: float
    saving_share: float
    quality_here: float | None
    quality_there: float | None
    """Lower bound of the other one."""
    quality_risk: float
    """How much quality may be lost at worst, in [0, 1]."""

    @property
    def sentence(self) -> str:
        """The advice in words."""
        kind = "serves the same model" if self.is_same_model else "is as good by its lower bound"
        return (
            f"{self.cheaper} {kind} and would have cost ${self.cost_there_usd:.4f} instead of ${self.cost_usd:.4f}"
            f" for {self.calls} calls of {self.task}: about ${self.saving_usd_per_month:.2f} a month"
        )


def opportunities(
    observations: Sequence[Observation], entries: Iterable[ModelEntry], by: Yardstick
) -> tuple[Opportunity, ...]:
    """All of them, the largest monthly saving first. Models with fewer than 30 observed calls are left out.

    Raises:
        NotEnoughDataError: No model has been called often enough for anything to be said.
    """
    by_use: dict[tuple[str, str], list[Observation]] = {}
    for one in observations:
        if one.is_success and not one.is_cached and one.model and one.cost_nano_usd:
            by_use.setdefault((one.task, one.model), []).append(one)
    known = {entry.name: entry for entry in entries}
    usable = {use: calls for use, calls in by_use.items() if len(calls) >= NOT_ENOUGH and use[1] in known}
    if not usable:
        raise NotEnoughDataError("arbitrage", have=max((len(calls) for calls in by_use.values()), default=0))
    found = [
        opportunity
        for (task, model), calls in usable.items()
        for other in known.values()
        if other.name != model and (opportunity := _compared(task, known[model], other, calls, by)) is not None
    ]
    return tuple(sorted(found, key=lambda one: (-one.saving_usd_per_month, one.task, one.model, one.cheaper)))


def _compared(
    task: str, here: ModelEntry, there: ModelEntry, calls: Sequence[Observation], by: Yardstick
) -> Opportunity | None:
    """The opportunity; None when the other one is dearer, worse, unpriced, or cannot do what is asked."""
    is_same = family(here.model_id) == family(there.model_id)
    if not here.capabilities <= there.capabilities:
        return None
    mine, other = by.quality_of(task, here), by.quality_of(task, there)
    risk = 0.0 if is_same else _risk(mine, other)
    if risk is None or risk > TOLERANCE:
        return None
    costs = [by.cost_of(there, one.input_tokens, one.output_tokens) for one in calls]
    if any(cost is None for cost in costs):
        return None
    spent = sum(one.cost_nano_usd or 0 for one in calls)
    there_nano = sum(cost for cost in costs if cost is not None)
    if there_nano > spent * (1 - LEAST_SAVING_SHARE):
        return None
    period = max(by.now - min(one.at for one in calls), timedelta(hours=1))
    return Opportunity(
        task=task,
        model=here.name,
        cheaper=there.name,
        is_same_model=is_same,
        calls=len(calls),
        cost_usd=spent / 1e9,
        cost_there_usd=there_nano / 1e9,
        saving_usd_per_month=(spent - there_nano) / 1e9 * (MONTH / period),
        saving_share=1 - there_nano / spent,
        quality_here=None if mine is None else mine.mean,
        quality_there=None if other is None else other.lower_bound,
        quality_risk=risk,
    )


def _risk(mine: QualityEstimate | None, other: QualityEstimate | None) -> float | None:
    """Quality that may be lost at worst; None when nobody knows."""
    if mine is None or other is None:
        return None
    return max(mine.mean - other.lower_bound, 0.0)


def family(model_id: str) -> str:
    """The weights behind a vendor's name for them: `meta-llama/Llama-3.3-70B-Instruct-Turbo` -> `llama-3.3-70b`.

    Serving suffixes (`turbo`, `fp8`, `versatile`) and the publisher's prefix do not change the weights' name.
    """
    name = model_id.lower().rsplit("/", 1)[-1].replace("_", "-").replace(":free", "")
    parts = [part for part in name.split("-") if part not in SERVING_WORDS]
    return "-".join(parts)


SERVING_WORDS = frozenset(
    {"turbo", "fp8", "fp16", "bf16", "versatile", "instant", "instruct", "it", "latest", "fast", "maas"}
)
