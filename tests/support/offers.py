"""Offers, states and questions with defaults, and hypothesis strategies of them."""

from dataclasses import replace
from typing import get_args

from hypothesis import strategies as st

from bridge.chat import Policy
from bridge.decision import (
    Constraints,
    DeploymentState,
    Experiment,
    GeoRule,
    Intent,
    Offer,
    QualityEstimate,
    RoutingQuestion,
    Snapshot,
)

POLICIES: tuple[Policy, ...] = get_args(Policy)
USD_PER_MTOK = 10_000.0
"""An output price at which the 100 tokens of `question` cost one dollar."""


def offer(name: str, **facts: object) -> Offer:
    """A chat model that can stream; everything else unknown. `cost_usd` is what `question` will cost there."""
    plain = Offer(f"p/{name}", f"p/{name}", "p", listed_as=f"p/{name}", capabilities=("chat", "stream"))
    cost_usd = facts.pop("cost_usd", None)
    if isinstance(cost_usd, float):
        plain = replace(plain, input_usd_per_mtok=0.0, output_usd_per_mtok=cost_usd * USD_PER_MTOK)
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
maybe_price = st.none() | st.floats(0, 100, allow_nan=False)


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
        wait_s=draw(st.just(0.0) | seconds),
        cached_share=draw(st.none() | shares),
        output_tokens=draw(st.none() | st.floats(0, 5000, allow_nan=False)),
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
        listed_as=draw(st.sampled_from([f"p/{number}", "group"])),
        capabilities=draw(st.sampled_from([("chat",), ("chat", "tools"), ("embeddings",)])),
        lacks=draw(st.sampled_from([(), (), ("seed",), ("seed", "logprobs")])),
        tags=draw(st.sampled_from([(), ("gdpr",)])),
        context_window=draw(st.none() | st.integers(1, 10_000)),
        max_output_tokens=draw(st.none() | st.integers(1, 10_000)),
        regions=draw(st.sampled_from([(), ("eu",), ("us-east-1",), ("eu-west-1", "us"), ("somewhere",)])),
        weight=draw(st.sampled_from([0.0, 1.0, 3.0])),
        input_usd_per_mtok=draw(maybe_price),
        output_usd_per_mtok=draw(maybe_price),
        cache_read_usd_per_mtok=draw(maybe_price),
        request_usd=draw(st.sampled_from([0.0, 0.001])),
        deprecated_on=draw(st.sampled_from([None, None, "2026-01-01", "2027-01-01"])),
        in_flight_limit=draw(st.sampled_from([None, None, 10])),
    )


@st.composite
def some_constraints(draw: st.DrawFn) -> Constraints:
    """Any constraints."""
    return Constraints(
        context_window=draw(st.none() | st.integers(1, 5000)),
        regions=draw(st.sampled_from([(), (), ("eu",)])),
        max_cost_usd=draw(st.none() | shares),
        max_latency_s=draw(st.none() | seconds),
        quality_floor=draw(st.none() | shares),
        needs_known_price=draw(st.booleans()),
        tags=draw(st.sampled_from([(), (), ("gdpr",)])),
        allowed_models=draw(st.sampled_from([None, None, ("p/0", "p/1"), ("p/*",)])),
        served_on=draw(st.sampled_from([None, "2026-11-24"])),
    )


@st.composite
def some_question(draw: st.DrawFn) -> RoutingQuestion:
    """Any question about up to six offers."""
    names = st.sampled_from(["p/0", "p/1", "p/2", "group"])
    return RoutingQuestion(
        "alias",
        "alias",
        draw(st.sampled_from(POLICIES)),
        "task",
        tuple(draw(some_offer(number)) for number in range(draw(st.integers(0, 6)))),
        needs=draw(st.sampled_from([("chat",), ("chat", "tools")])),
        input_tokens=draw(st.integers(0, 8000)),
        output_tokens=draw(st.integers(1, 1000)),
        max_output_tokens=draw(st.none() | st.integers(1, 5000)),
        constraints=draw(some_constraints()),
        score_weights=draw(st.sampled_from([{}, {"cost": 1.0, "latency": 2.0}])),
        may_drop=draw(st.sampled_from([(), ("seed",)])),
        exploration=draw(st.sampled_from([0.0, 0.03, 0.2])),
        geo=draw(st.none() | st.builds(GeoRule, st.sampled_from([None, "eu", "us-west-2", "nowhere"]), st.booleans())),
        intents=draw(
            st.lists(st.builds(Intent, st.sampled_from("xy"), st.tuples(names), st.just(0.4)), max_size=2).map(tuple)
        ),
        experiment=draw(
            st.none()
            | st.builds(
                Experiment,
                st.just("trial"),
                st.dictionaries(names, st.sampled_from([0.5, 1.0, 2.0]), min_size=1),
                st.none() | st.text(max_size=5),
            )
        ),
    )


@st.composite
def some_case(draw: st.DrawFn) -> tuple[RoutingQuestion, Snapshot]:
    """Any question, and any snapshot of its offers."""
    asked = draw(some_question())
    snapshot = Snapshot(
        deployments={one.deployment: draw(some_state()) for one in asked.offers if draw(st.booleans())},
        quality={
            one.model: QualityEstimate(
                bound := draw(shares), bound * draw(st.sampled_from([0.7, 1.0])), draw(st.integers(0, 20))
            )
            for one in asked.offers
            if draw(st.booleans())
        },
        turn=draw(st.integers(0, 20)),
        weights={one.deployment: draw(shares) for one in asked.offers if draw(st.booleans())},
        bound_to=draw(st.sampled_from([None, None, "p/0", "p/1"])),
        similarity=draw(st.dictionaries(st.sampled_from("xy"), st.floats(-1, 1, allow_nan=False))),
    )
    return asked, snapshot
