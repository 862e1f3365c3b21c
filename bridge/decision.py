"""The router's input and output as values: a Snapshot of the world goes in, a Decision comes out.

A Decision holds everything needed to explain it and to take it again: same request, snapshot and seed, same plan.
"""

from dataclasses import asdict, dataclass, field

from bridge.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """What is known of one deployment at the moment of choice. None: never measured."""

    circuit: str = "closed"
    """closed, half_open or open."""
    retry_at_s: float = 0.0
    """Seconds from the snapshot until an open circuit may be probed."""
    success_share: float | None = None
    ttft_s: float | None = None
    s_per_output_token: float | None = None
    latency_p95_s: float | None = None
    in_flight: int = 0
    ramp_share: float = 1.0
    """Share of its traffic that a recovering deployment may take."""


@dataclass(frozen=True, slots=True)
class QualityEstimate:
    """Quality of a model at a task: shrunk mean and one-sided lower bound in [0, 1], from `n_scores` scores."""

    mean: float
    lower_bound: float
    n_scores: int = 0
    source: str = "prior"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The world as the router sees it. Keys are deployment names; a missing key means nothing is known."""

    deployments: dict[str, DeploymentState] = field(default_factory=dict[str, DeploymentState])
    quality: dict[str, QualityEstimate] = field(default_factory=dict[str, QualityEstimate])
    """By model name (`provider/model`), for the task at hand."""
    turn: int = 0
    """Counts calls of the alias; round robin reads it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One deployment the router looked at: kept with a rank, or dropped with a reason."""

    deployment: str
    model: str
    provider: str
    is_eligible: bool
    reason: str
    """Plain words: why it stands where it stands."""
    is_fallback: bool = False
    score: float | None = None
    terms: dict[str, float] = field(default_factory=dict[str, float])
    """The score's parts by name, units in the names."""
    propensity: float | None = None
    """Probability that this candidate came first, given the snapshot; None when dropped."""
    cost_usd: float | None = None
    """Expected cost of this request there; None when the price is unknown."""
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which deployments to try, in order, and why."""

    id: str
    requested: str
    alias: str | None
    policy: str
    task: str
    seed: int
    attempts: tuple[str, ...]
    """Deployment names in the order they are to be tried."""
    candidates: tuple[Candidate, ...]
    snapshot: Snapshot

    def to_json(self) -> dict[str, JsonValue]:
        """The decision as stored with a call and shown by `--explain`; the snapshot included."""
        return asdict(self)
