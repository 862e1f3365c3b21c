"""Canonical request -> cache key; what may be cached, and for how long."""

import hashlib
import json
from dataclasses import asdict

from bridge.chat import ChatRequest, ChatResponse
from bridge.config import CacheConfig

NOT_PART_OF_THE_ANSWER = ("model", "deadline_s", "routing")
"""Fields that say how to get an answer, not which."""


def fingerprint(org_id: str, request: ChatRequest, served_by: str) -> str:
    """The key of a request: organisation, what may serve it, and everything that shapes the answer.

    `served_by` names the models that may answer, so that a changed alias does not serve another model's words.
    """
    shape = asdict(request)
    for name in NOT_PART_OF_THE_ANSWER:
        del shape[name]
    canonical = json.dumps([org_id, served_by, shape], sort_keys=True, separators=(",", ":"), default=dict)
    return f"answer:{org_id}:{hashlib.sha256(canonical.encode()).hexdigest()}"


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
