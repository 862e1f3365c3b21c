"""The router's input and output as values: a question and a Snapshot of the world go in, a Decision comes out.

A Decision holds everything needed to explain it and to take it again: same question, snapshot and seed, same plan.
`Decision.from_json(decision.to_json())` is the same Decision, so a logged one can be re-executed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache

from pydantic import TypeAdapter

from bridge.chat import Policy
from bridge.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class Offer:
    """One deployment that a request might go to, with the facts that do not change from call to call."""

    deployment: str
    model: str
    provider: str
    is_fallback: bool = False
    off_reason: str | None = None
    """Why it cannot be used at all: its provider's key is missing, for one."""
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    regions: tuple[str, ...] = ()
    weight: float = 1.0
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cost_usd: float | None = None
    """Expected cost of this request there; None when the price is unknown."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a deployment must meet. None and empty: no constraint."""

    context_window: int | None = None
    regions: tuple[str, ...] = ()
    max_input_usd_per_mtok: float | None = None
    max_output_usd_per_mtok: float | None = None
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    quality_floor: float | None = None
    needs_known_price: bool = False
    """A budget applies: what cannot be priced cannot be reserved."""


@dataclass(frozen=True, slots=True)
class RoutingQuestion:
    """Everything about a request and its alias that the router looks at."""

    requested: str
    alias: str | None
    policy: Policy
    task: str
    offers: tuple[Offer, ...]
    needs: tuple[str, ...] = ()
    """Capabilities the request cannot do without."""
    input_tokens: int = 0
    """Estimated."""
    output_tokens: int = 0
    """Expected."""
    max_output_tokens: int | None = None
    """The output limit that is sent, before it is cut to what a model can answer."""
    constraints: Constraints = field(default_factory=Constraints)
    epsilon: float = 0.1
    """`balanced`: share of the best quality that may be given up for a lower price."""
    latency_target_s: float = 10.0
    """`balanced`: wanted p95."""
    score_weights: dict[str, float] = field(default_factory=dict[str, float])
    """`balanced`: weights of cost, latency, quality and reliability; empty: price alone decides."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """What is known of one deployment at the moment of choice. None: never measured."""

    circuit: str = "closed"
    """closed, half_open or open."""
    retry_at_s: float = 0.0
    """Seconds from the snapshot until an open circuit may be probed, or until a pause it asked for is over."""
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
    """Kept ones in the order of `attempts`, then the dropped ones."""
    snapshot: Snapshot
    question: RoutingQuestion | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The decision as stored with a call and shown by `--explain`; question and snapshot included."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, JsonValue]) -> "Decision":
        """The decision that `to_json` wrote, also after a trip through JSON text."""
        return _adapter().validate_python(dict(stored))

    @property
    def dropped(self) -> dict[str, str]:
        """Deployment -> why it is no candidate."""
        return {c.deployment: c.reason for c in self.candidates if not c.is_eligible}


@cache
def _adapter() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)
