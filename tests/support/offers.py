"""Offers, states and questions with defaults, and hypothesis strategies of them."""

from dataclasses import replace

from hypothesis import strategies as st

from bridge.chat import Policy
from bridge.decision import Constraints, DeploymentState, Offer, QualityEstimate, RoutingQuestion, Snapshot

POLICIES: tuple[Policy, ...] = (
    "fastest", "cheapest", "best", "balanced", "priority", "weighted", "round_robin", "least_busy",
)  # fmt: skip


def offer(name: str, **facts: object) -> Offer:
    """A chat model that can stream; everything else unknown."""
    plain = Offer(f"p/{name}", f"p/{name}", "p", capabilities=("chat", "stream"))
    return replace(plain, **facts)  # pyright: ignore[reportArgumentType]  # facts by name


def question(*offers: Offer, policy: Policy = "priority", **facts: object) -> RoutingQuestion:
    """A question about `offers`."""
    plain = RoutingQuestion("alias", "alias", policy, "task", offers, needs=("chat",), output_tokens=100)
    return replace(plain, **facts)  # pyright: ignore[reportArgumentType]  # facts by name


def quality(**bounds: float) -> dict[str, QualityEstimate]:
    """Lower bounds by the name given to `offer`."""
    return {f"p/{name}": QualityEstimate(bound, bound) for name, bound in bounds.items()}


def states(**by_name: DeploymentState) -> dict[str, DeploymentState]:
    """States by the name given to `offer`."""
    return {f"p/{name}": state for name, state in by_name.items()}


shares = st.floats(0, 1, allow_nan=False)
seconds = st.floats(0, 100, allow_nan=False)
maybe_cost = st.none() | st.floats(0, 1, allow_nan=False)


@st.composite
def some_state(draw: st.DrawFn) -> DeploymentState:
    """Any state a deployment can be in."""
    return DeploymentState(
        circuit=draw(st.sampled_from(["closed", "half_open", "open"])),
        retry_at_s=draw(st.just(0.0) | seconds),
        success_share=draw(st.none() | shares),
        ttft_s=draw(st.none() | seconds),
        s_per_output_token=draw(st.none() | shares),
        latency_p95_s=draw(st.none() | seconds),
        in_flight=draw(st.integers(0, 50)),
        ramp_share=draw(st.sampled_from([0.1, 0.5, 1.0])),
    )


@st.composite
def some_offer(draw: st.DrawFn, number: int) -> Offer:
    """Any offer."""
    return Offer(
        f"p/{number}",
        f"p/{number}",
        "p",
        is_fallback=draw(st.booleans()),
        off_reason=draw(st.sampled_from([None, None, None, "KEY is not set"])),
        capabilities=draw(st.sampled_from([("chat",), ("chat", "tools"), ("embeddings",)])),
        context_window=draw(st.none() | st.integers(1, 10_000)),
        max_output_tokens=draw(st.none() | st.integers(1, 10_000)),
        regions=draw(st.sampled_from([(), ("eu",), ("us",), ("eu", "us")])),
        weight=draw(st.sampled_from([0.0, 1.0, 3.0])),
        input_usd_per_mtok=draw(maybe_cost),
        output_usd_per_mtok=draw(maybe_cost),
        cost_usd=draw(maybe_cost),
    )


@st.composite
def some_case(draw: st.DrawFn) -> tuple[RoutingQuestion, Snapshot]:
    """Any question about up to six offers, and any snapshot of them."""
    offers = tuple(draw(some_offer(number)) for number in range(draw(st.integers(0, 6))))
    constraints = Constraints(
        context_window=draw(st.none() | st.integers(1, 5000)),
        regions=draw(st.sampled_from([(), (), ("eu",)])),
        max_cost_usd=draw(st.none() | shares),
        max_latency_s=draw(st.none() | seconds),
        quality_floor=draw(st.none() | shares),
        needs_known_price=draw(st.booleans()),
    )
    asked = RoutingQuestion(
        "alias",
        "alias",
        draw(st.sampled_from(POLICIES)),
        "task",
        offers,
        needs=draw(st.sampled_from([("chat",), ("chat", "tools")])),
        input_tokens=draw(st.integers(0, 8000)),
        output_tokens=draw(st.integers(1, 1000)),
        max_output_tokens=draw(st.none() | st.integers(1, 5000)),
        constraints=constraints,
        score_weights=draw(st.sampled_from([{}, {"cost": 1.0, "latency": 2.0}])),
    )
    snapshot = Snapshot(
        deployments={one.deployment: draw(some_state()) for one in offers if draw(st.booleans())},
        quality={one.model: QualityEstimate(bound := draw(shares), bound) for one in offers if draw(st.booleans())},
        turn=draw(st.integers(0, 20)),
    )
    return asked, snapshot
