"""What comes out of a day under one policy, as figures with names."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

FigureName = Literal[
    "calls",
    "answered",
    "availability",
    "cost_usd",
    "usd_per_1000_answers",
    "saving_against_best",
    "quality",
    "quality_low",
    "quality_high",
    "latency_p50_s",
    "latency_p95_s",
    "latency_p99_s",
    "ttft_p50_s",
    "ttft_p95_s",
    "ttft_p99_s",
    "attempts_per_call",
    "probes",
    "probes_failed",
    "cache_hit_rate",
    "false_hit_rate",
    "cost_regret",
    "quality_regret",
]
Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy's day. Latencies and quality are those of answered calls; None: there is nothing to measure."""

    calls: int
    answered: int
    availability: float
    cost_usd: float
    usd_per_1000_answers: float | None
    quality: float | None
    """Share of answers that are good, with its 95 % interval."""
    quality_low: float | None
    quality_high: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    ttft_p50_s: float | None
    """Of streamed calls: from the call to its first content."""
    ttft_p95_s: float | None
    ttft_p99_s: float | None
    attempts_per_call: float
    probes: int
    """Attempts at deployments whose circuit was not closed: what the breaker spent to find out."""
    probes_failed: int
    cache_hit_rate: float | None
    """Of calls that were looked up."""
    false_hit_rate: float | None
    """Of hits: the answer to another question."""
    cost_regret: float | None
    """Cost of the answered calls above that of the all-knowing choice, as a share of it; negative: below."""
    quality_regret: float
    """Good answers that the all-knowing choice would have had more, per call; unanswered calls count as not good."""
    saving_against_best: float | None = None
    """Cost per answer below that of always asking the best model; None when `best` was not run."""
    served_by: dict[str, int] = field(default_factory=dict[str, int])
    """Answers by deployment, cached ones under `cache`."""
    errors: dict[str, int] = field(default_factory=dict[str, int])
    """Unanswered calls by class of error."""

    def value(self, name: FigureName) -> float | None:
        """The figure of that name."""
        return getattr(self, name)

    def to_json(self) -> dict[str, object]:
        """The figures for programs."""
        return asdict(self)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the sorted values do not exceed; None without values."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
