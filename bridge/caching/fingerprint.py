"""Canonical request -> cache key; what may be cached, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter

import msgspec

from bridge.chat import ChatRequest, ChatResponse, TextPart
from bridge.config import CacheConfig

NOT_PART_OF_THE_ANSWER = frozenset({"model", "deadline_s", "routing", "messages", "tools", "tool_choice"})
"""Fields that say how to get an answer, not which; and those that have a part of their own."""
PARAMETERS = tuple(field.name for field in fields(ChatRequest) if field.name not in NOT_PART_OF_THE_ANSWER)
_parameters_of = attrgetter(*PARAMETERS)
PARTS = ("models", "system", "tools", "parameters", "history", "prompt")
"""What a key is made of, in the order in which a difference is named."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key of a request, and of each of its parts."""

    answer: str
    """Where the answer is stored."""
    parts: tuple[str, ...]
    """Digests, in the order of `PARTS`."""
    context: str
    """Everything but the prompt: requests that differ in nothing else may mean the same."""
    prompt: str
    """The newest message, if it is a user's of text only; empty otherwise."""


def key_of(org_id: str, request: ChatRequest, served_by: str) -> RequestKey:
    """The key of a request: organisation, what may serve it, and everything that shapes the answer.

    `served_by` names the models that may answer, so that a changed alias does not serve another model's words.
    """
    messages = request.messages
    n_system = 0
    while n_system < len(messages) and messages[n_system].role == "system":
        n_system += 1
    others = messages[n_system:]
    parts = (
        _digest_of_text(served_by),
        _digest(messages[:n_system]),
        _digest((request.tools, request.tool_choice)) if request.tools or request.tool_choice else _NOTHING,
        _digest(_parameters_of(request)),
        _digest(others[:-1]) if len(others) > 1 else _NOTHING,
        _digest(others[-1:]) if others else _NOTHING,
    )
    context = _joined(org_id, *parts[:-1])
    newest = others[-1] if others else None
    is_text = newest is not None and all(isinstance(part, TextPart) for part in newest.content)
    prompt = newest.text if newest is not None and newest.role == "user" and is_text else ""
    return RequestKey(f"answer:{org_id}:{_joined(context, parts[-1])}", parts, context, prompt)


def fingerprint(org_id: str, request: ChatRequest, served_by: str) -> str:
    """Where the answer to a request is stored."""
    return key_of(org_id, request, served_by).answer


def _digest(shape: object) -> str:
    return blake2b(_CANONICAL.encode(shape), digest_size=16).hexdigest()


def _joined(*parts: str) -> str:
    """One digest for several; all but the first are digests themselves."""
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=1_024)
def _digest_of_text(text: str) -> str:
    return _digest(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # any mapping will do
    if isinstance(value, frozenset | set):
        return sorted(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # any items
    raise TypeError(f"{type(value).__name__} cannot be part of a key")


_CANONICAL = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
_NOTHING = _digest(())


def may_look_up(request: ChatRequest) -> bool:
    """May an earlier answer stand for this one? Never inside an agent loop, and one answer at a time."""
    is_agent_loop = any(message.role == "tool" or message.tool_calls for message in request.messages)
    return not is_agent_loop and request.n == 1 and not request.logprobs


def may_store(request: ChatRequest, response: ChatResponse) -> bool:
    """Only an answer that is complete and asks for nothing to be done."""
    return may_look_up(request) and response.finish_reason == "stop" and not response.tool_calls


def ttl_s(request: ChatRequest, config: CacheConfig, alias_ttl_s: float | None) -> float:
    """How long an answer stays good: longer when the request asks for the likeliest words."""
    if alias_ttl_s is not None:
        return alias_ttl_s
    return config.deterministic_ttl_s if request.temperature == 0 else config.ttl_s
