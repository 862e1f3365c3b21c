"""What every model-calling node shares: how a model is chosen, worst-case use, what is told about the answer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field

from bridge.call_record import CallRecord
from bridge.chat import ChatResponse, RoutingOverrides, Usage
from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from bridge.side_calls import EmbeddingResult
from nodes.node import Block, ModelUse, NodeOutput
from nodes.schemas import has_expression

DEFAULT_MODEL = "balanced"
EMBEDDING_MODEL = "local/wordllama"
"""Embeds in this process, so it costs nothing and needs no key."""
DEFAULT_MAX_TOKENS = 1024
ASSUMED_VALUE_BYTES = 32 * 1024
"""What one expression may insert, for bounds before a run: bigger values travel as handles."""
IMAGE_BYTES = 8 * 1024
"""What one image counts as, in bytes of input, for bounds before a run."""

Strategy = Literal["fastest", "cheapest", "best", "balanced", "priority", "weighted", "round_robin", "least_busy"]
Names = str | list[str]


class InlinePolicy(Block):
    """A routing policy written in place of a model's name."""

    strategy: Strategy = Field(default="balanced", description="How to choose among the candidates.")
    candidates: list[str] = Field(
        min_length=1, description="Models (`provider/model`) or aliases, in order of preference."
    )
    fallback: list[str] = Field(default_factory=list, description="Asked in order when no candidate answers.")


ModelChoice = Annotated[
    str | InlinePolicy,
    Field(description="An alias, `provider/model`, or an inline routing policy.", union_mode="smart"),
]


EmbeddingModel = Annotated[str, Field(min_length=1, description="An embedding model as `provider/model`, or an alias.")]


class UsageFacts(NodeOutput):
    """Tokens of the answer."""

    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cached_tokens: int = Field(ge=0)


def chosen_model(choice: str | InlinePolicy) -> str:
    """The name the bridge is asked for: for an inline policy the first candidate, which its candidates replace."""
    return choice if isinstance(choice, str) else choice.candidates[0]


def routing(choice: str | InlinePolicy, extra: RoutingOverrides | None = None) -> RoutingOverrides | None:
    """The overrides of an inline policy joined with those of the node; None when there are none."""
    given = extra or RoutingOverrides()
    if isinstance(choice, InlinePolicy):
        given = RoutingOverrides(
            policy=given.policy or choice.strategy,
            candidates=given.candidates or tuple(choice.candidates),
            fallback=given.fallback or tuple(choice.fallback),
            regions=given.regions,
            max_cost_usd=given.max_cost_usd,
            max_latency_ms=given.max_latency_ms,
            quality_floor=given.quality_floor,
        )
    return None if given == RoutingOverrides() else given


def models_named(raw: JsonObject) -> tuple[str, ...]:
    """Every literal model or alias that a `with:` block may reach, in order; the default when it names none."""
    choice = raw.get("model", DEFAULT_MODEL)
    policy: JsonObject = choice if isinstance(choice, Mapping) else dict[str, JsonValue]()
    candidates = [*_texts(raw.get("candidates")), *_texts(policy.get("candidates"))]
    fallback = [*_texts(raw.get("fallback")), *_texts(policy.get("fallback"))]
    first = candidates or ([choice] if isinstance(choice, str) else [DEFAULT_MODEL])
    return tuple(dict.fromkeys(name for name in (*first, *fallback) if not has_expression(name)))


def uses(raw: JsonObject, *, max_output_tokens: int, extra_bytes: int = 0, calls: int = 1) -> tuple[ModelUse, ...]:
    """One bound per model that may be asked: everything in the block is sent, every expression is as big as allowed."""
    size = input_bound(raw) + extra_bytes
    return tuple(
        ModelUse(model=name, max_input_bytes=size, max_output_tokens=max_output_tokens, calls=calls)
        for name in models_named(raw)
    )


def embedding_uses(raw: JsonObject, max_input_bytes: int) -> tuple[ModelUse, ...]:
    """The bound of embedding that many bytes once with the block's `model`; none where an expression names it."""
    model = raw.get("model", EMBEDDING_MODEL)
    if not isinstance(model, str) or has_expression(model):
        return ()
    return (ModelUse(model=model, max_input_bytes=max_input_bytes, max_output_tokens=0),)


def input_bound(value: JsonValue) -> int:
    """Bytes that a block's texts may become when rendered."""
    if isinstance(value, str):
        n_inserted = value.count("${{")
        return len(value.encode()) + n_inserted * ASSUMED_VALUE_BYTES
    if isinstance(value, Mapping):
        return sum(len(key.encode()) + 4 + input_bound(part) for key, part in value.items())
    if isinstance(value, Sequence):
        return sum(input_bound(part) + 2 for part in value)
    return 8


def literal_int(raw: JsonObject, key: str, otherwise: int) -> int:
    """A whole number written in the block, else `otherwise`."""
    value = raw.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def usage_facts(usage: Usage | None) -> UsageFacts:
    """The tokens as an output shows them; zeros when the provider told none."""
    known = usage or Usage(input_tokens=0, output_tokens=0)
    return UsageFacts(
        input_tokens=known.input_tokens, output_tokens=known.output_tokens, cached_tokens=known.cached_tokens
    )


def answering_model(record: CallRecord, response: ChatResponse) -> tuple[str, str]:
    """Model and provider that answered; from a cache, what the decision would have asked."""
    answered = [attempt for attempt in record.attempts if attempt.outcome == "succeeded"]
    if answered:
        return answered[-1].model, answered[-1].provider
    first = next((c for c in record.decision.candidates if c.is_eligible), None) if record.decision else None
    return (first.model, first.provider) if first else (response.model or record.requested, "")


def embedding_model(result: EmbeddingResult) -> str:
    """What embedded the texts, as `provider/model`."""
    answered = [attempt.model for attempt in result.record.attempts if attempt.outcome == "succeeded"]
    return answered[-1] if answered else result.response.model


def cost_usd(record: CallRecord) -> float | None:
    """The call's cost as a JSON number; None when a price is unknown."""
    return usd_number(record.cost_nano_usd)


def names(value: Names | None) -> tuple[str, ...]:
    """One name or a list of them as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence):
        return [part for part in cast("Sequence[JsonValue]", value) if isinstance(part, str)]
    return []
