"""LLM router: one call interface over many providers, with failover, budgets and explained decisions."""

from typing import TYPE_CHECKING

from bridge.budgets import BudgetLedger
from bridge.call_record import AttemptRecord, BudgetScope, CallContext, CallRecord, CallSink, Lease
from bridge.chat import ChatRequest, ChatResponse, JsonFormat, Message, StreamChunk, Usage
from bridge.config import BridgeConfig
from bridge.decision import Decision
from bridge.errors import BridgeError
from bridge.result import ChatResult, ChatStream

if TYPE_CHECKING:
    from bridge.gateway import Bridge

__all__ = [
    "AttemptRecord",
    "Bridge",
    "BridgeConfig",
    "BridgeError",
    "BudgetLedger",
    "BudgetScope",
    "CallContext",
    "CallRecord",
    "CallSink",
    "ChatRequest",
    "ChatResponse",
    "ChatResult",
    "ChatStream",
    "Decision",
    "JsonFormat",
    "Lease",
    "Message",
    "StreamChunk",
    "Usage",
]


def __getattr__(name: str) -> object:
    """`Bridge` on first use: whoever needs only the values does not load HTTP client and prices."""
    if name == "Bridge":
        from bridge.gateway import Bridge

        return Bridge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
