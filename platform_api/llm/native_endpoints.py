"""The native LLM API: generate, generate-structured, models, health."""

from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from msgspec import structs

from bridge.call_record import CallContext
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatRequest, JsonFormat, Message
from bridge.gateway import Bridge
from bridge.money import usd_number
from bridge.result import ChatResult
from platform_api.auth.caller import require
from platform_api.auth.principals import Caller
from platform_api.errors import FieldProblem, ForbiddenError, InvalidError
from platform_api.limits.service import expected_tokens
from platform_api.limits.turnstile import Limited, Turnstile
from platform_api.llm.schemas import (
    AliasItem,
    Catalogue,
    Generate,
    Generated,
    GeneratedStructured,
    GenerateStructured,
    ModelItem,
    ProviderItem,
    TokenUsage,
)
from platform_api.structured_logging import request_id
from platform_api.trace_context import current_traceparent

router = APIRouter(prefix="/api/v1", tags=["llm"])

ModelCaller = Annotated[Caller, Depends(require("llm:call"))]
ModelReader = Annotated[Caller, Depends(require("model:read"))]


def bridge_of(request: Request) -> Bridge:
    """The process's bridge."""
    return cast("Bridge", request.app.state.bridge)


Models = Annotated[Bridge, Depends(bridge_of)]


@router.post("/generate", operation_id="llm_generate")
async def generate(wanted: Generate, caller: ModelCaller, bridge: Models, turnstile: Turnstile) -> Generated:
    """One answer to a prompt or messages."""
    request = _request(wanted, caller)
    async with turnstile.admission(partial(expected_tokens, request)) as admitted:
        result = await bridge.chat(request, _context(wanted, caller))
        admitted.count(result.record)
    return Generated.model_validate(_facts(result))


@router.post("/generate-structured", operation_id="llm_generate_structured")
async def generate_structured(
    wanted: GenerateStructured, caller: ModelCaller, bridge: Models, turnstile: Turnstile
) -> GeneratedStructured:
    """One answer as JSON that fits the schema, asked for once more when it does not at first."""
    request = _request(wanted, caller, JsonFormat(schema=wanted.json_schema))
    async with turnstile.admission(partial(expected_tokens, request)) as admitted:
        result = await bridge.chat(request, _context(wanted, caller))
        admitted.count(result.record)
    return GeneratedStructured.model_validate(
        {**_facts(result), "json_value": result.parsed, "re_asks": result.record.re_asks}
    )


@router.get("/models", operation_id="llm_models")
async def models(caller: ModelReader, bridge: Models, _limited: Limited) -> Catalogue:
    """Models and aliases that can be called now, and which providers are off and why."""
    allowed = caller.models
    circuits = {name: state.circuit for each in await bridge.health() for name, state in each.deployments.items()}
    return Catalogue(
        models=[
            _model(entry, circuits.get(entry.name))
            for entry in bridge.models()
            if allowed is None or entry.name in allowed
        ],
        aliases=[
            AliasItem(
                name=alias.name,
                policy=alias.policy,
                candidates=list(alias.candidates),
                fallback=list(alias.fallback),
                is_built_in=alias.is_built_in,
            )
            for alias in bridge.aliases()
            if allowed is None or alias.name in allowed
        ],
        unavailable=bridge.unavailable(),
    )


@router.get("/health", operation_id="llm_health")
async def health(_caller: ModelReader, bridge: Models, _limited: Limited) -> list[ProviderItem]:
    """Every configured provider: is it on, how have its deployments fared?"""
    return [
        ProviderItem(
            provider=each.provider,
            is_on=each.off_reason is None,
            reason=each.off_reason,
            deployments={name: structs.asdict(state) for name, state in each.deployments.items()},
        )
        for each in await bridge.health()
    ]


def _request(wanted: Generate, caller: Caller, response_format: JsonFormat | None = None) -> ChatRequest:
    if (wanted.prompt is None) == (not wanted.messages):
        raise InvalidError("give either `prompt` or `messages`", [FieldProblem("/prompt", "one of the two")])
    if caller.models is not None and wanted.model not in caller.models:
        raise ForbiddenError(f"this key may not use {wanted.model}", code="model_not_allowed")
    messages = [Message.of(turn.role, turn.content) for turn in wanted.messages]
    if wanted.prompt is not None:
        messages = [Message.of("user", wanted.prompt)]
    if wanted.system is not None:
        messages.insert(0, Message.of("system", wanted.system))
    return ChatRequest(
        model=wanted.model,
        messages=tuple(messages),
        max_output_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        stop=tuple(wanted.stop),
        seed=wanted.seed,
        response_format=response_format,
        deadline_s=wanted.deadline_s,
    )


def _context(wanted: Generate, caller: Caller) -> CallContext:
    return CallContext(
        org_id=str(caller.org_id),
        key_id=None if caller.key_id is None else str(caller.key_id),
        user_id=None if caller.user_id is None else str(caller.user_id),
        task=wanted.task,
        request_id=request_id(),
        traceparent=current_traceparent(),
        allowed_models=None if caller.models is None else tuple(sorted(caller.models)),
    )


def _facts(result: ChatResult) -> dict[str, object]:
    record, response = result.record, result.response
    last = record.attempts[-1] if record.attempts else None
    usage = response.usage
    return {
        "call_id": record.call_id,
        "text": response.text,
        "finish_reason": response.finish_reason,
        "model": response.model if last is None else last.model,
        "provider": "" if last is None else last.provider,
        "attempts": len(record.attempts),
        "cache": record.cache,
        "usage": None
        if usage is None
        else TokenUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            is_estimated=usage.is_estimated,
        ),
        "cost_usd": usd_number(record.cost_nano_usd),
        "duration_ms": round((record.finished_at - record.started_at).total_seconds() * 1000, 3),
    }


def _model(entry: ModelEntry, circuit: str | None) -> ModelItem:
    return ModelItem(
        name=entry.name,
        provider=entry.provider,
        capabilities=sorted(entry.capabilities),
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        quality=entry.quality,
        regions=sorted(entry.regions or ()),
        input_usd_per_mtok=_price(entry.input_usd_per_mtok),
        output_usd_per_mtok=_price(entry.output_usd_per_mtok),
        circuit=circuit,
        deprecated_on=entry.deprecated_on,
    )


def _price(value: object) -> float | None:
    return None if value is None else float(str(value))
