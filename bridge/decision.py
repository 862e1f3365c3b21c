"""The router's input and output as values: a question and a Snapshot of the world go in, a Decision comes out.

A Decision holds everything needed to explain it and to take it again: same question, snapshot and seed, same plan.
`Decision.from_json(decision.to_json())` is the same Decision, so a logged one can be re-executed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bridge.chat import Policy
from bridge.json_types import JsonValue

TOKENS_PER_MTOK = 1_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """One deployment that a request might go to, with the facts that do not change from call to call."""

    deployment: str
    model: str
    provider: str
    is_fallback: bool = False
    off_reason: str | None = None
    """Why it cannot be used at all: its provider's key is missing, for one."""
    listed_as: str = ""
    """The alias's candidate that it came from: a model, or another alias."""
    capabilities: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    """Features of this request that cannot be expressed there (`seed`)."""
    tags: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    regions: tuple[str, ...] = ()
    weight: float = 1.0
    input_usd_per_mtok: float | None = None
    """Prices as they apply to this request: its moment, its size. None: unknown."""
    output_usd_per_mtok: float | None = None
    cache_read_usd_per_mtok: float | None = None
    request_usd: float = 0.0
    """What a request costs on top of its tokens."""
    deprecated_on: str | None = None
    """ISO date."""
    in_flight_limit: int | None = None
    """How many calls it takes at the same time."""

    def cost_usd(self, input_tokens: float, output_tokens: float, cached_share: float | None = None) -> float | None:
        """Expected cost of so many tokens there, a share of the input read from its cache; None: price unknown."""
        read, full = self.cache_read_usd_per_mtok, self.input_usd_per_mtok
        if full is None or self.output_usd_per_mtok is None:
            return None
        paid = full if not cached_share or read is None else full + (read - full) * cached_share
        tokens_usd = (paid * input_tokens + self.output_usd_per_mtok * output_tokens) / TOKENS_PER_MTOK
        return tokens_usd + self.request_usd

    @property
    def is_cheaper_when_cached(self) -> bool:
        """Does a prompt that it has seen before cost less?"""
        read, full = self.cache_read_usd_per_mtok, self.input_usd_per_mtok
        return read is not None and full is not None and read < full


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
    tags: tuple[str, ...] = ()
    """All of them."""
    allowed_models: tuple[str, ...] | None = None
    """What the caller may use: models, `provider/*`, or the name that was asked for."""
    served_on: str | None = None
    """ISO date: what is deprecated by then is dropped. None: the caller named the model."""


@dataclass(frozen=True, slots=True)
class GeoRule:
    """Where distances count from; with `is_strict` nothing may be served elsewhere."""

    home: str | None
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A kind of prompt, and the alias's candidates that answer it."""

    name: str
    candidates: tuple[str, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms (the alias's candidates) with their shares, and the unit that is to be assigned."""

    name: str
    arms: dict[str, float]
    unit: str | None
    """None: every request is its own unit."""


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
    may_drop: tuple[str, ...] = ()
    """Features of the request that may go unheeded where they cannot be expressed."""
    exploration: float = 0.0
    """`best`: share of calls that try another model than the best, to learn."""
    geo: GeoRule | None = None
    intents: tuple[Intent, ...] = ()
    experiment: Experiment | None = None


class DeploymentState(msgspec.Struct, frozen=True):
    """What is known of one deployment at the moment of choice. None: never measured.

    One is made for every deployment in every call: a Struct takes a tenth of a dataclass's time.
    """

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
    wait_s: float = 0.0
    """Seconds until its rate limit leaves room for this request."""
    cached_share: float | None = None
    """Share of input tokens that its provider read from a cache."""
    output_tokens: float | None = None
    """How long its answers to this task are on average."""

    def observed(self, cached_share: float | None, output_tokens: float | None) -> "DeploymentState":
        """The same with what calls turned out to be."""
        return msgspec.structs.replace(self, cached_share=cached_share, output_tokens=output_tokens)

    def waiting(self, wait_s: float) -> "DeploymentState":
        """The same with a rate limit that leaves no room for so long."""
        return msgspec.structs.replace(self, wait_s=wait_s)


class QualityEstimate(msgspec.Struct, frozen=True):
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
    weights: dict[str, float] = field(default_factory=dict[str, float])
    """Learned or scheduled weights; a missing key means the offer's own."""
    bound_to: str | None = None
    """The deployment that has this conversation's prompt in its cache."""
    similarity: dict[str, float] = field(default_factory=dict[str, float])
    """Intent -> cosine similarity of the prompt to its nearest example."""


class Candidate(msgspec.Struct, frozen=True):
    """One deployment the router looked at: kept with a rank, or dropped with a reason."""

    deployment: str
    model: str
    provider: str
    is_eligible: bool
    reason: str
    """Plain words: why it stands where it stands."""
    is_fallback: bool = False
    score: float | None = None
    terms: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    """The score's parts by name, units in the names."""
    propensity: float | None = None
    """Probability that this candidate came first, given the snapshot; None when dropped."""
    cost_usd: float | None = None
    """Expected cost of this request there; None when the price is unknown."""
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """An answer of a cascade that was passed over for the next model's."""

    deployment: str
    reason: str


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
    arm: str | None = None
    """The arm of the experiment that the unit is assigned to."""
    escalations: tuple[Escalation, ...] = ()
    """Of a cascade, as they went. Not part of the plan."""

    def to_json(self) -> dict[str, JsonValue]:
        """The decision as stored with a call and shown by `--explain`; question and snapshot included."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, JsonValue]) -> "Decision":
        """The decision that `to_json` wrote, also after a trip through JSON text.

        Raises:
            ValueError: It is no decision.
        """
        return msgspec.convert(stored, cls)

    @property
    def dropped(self) -> dict[str, str]:
        """Deployment -> why it is no candidate."""
        return {c.deployment: c.reason for c in self.candidates if not c.is_eligible}
