"""Which trace and span the running task belongs to, as W3C trace context. Knows no collector and no library.

Source: W3C Trace Context, "traceparent header".
"""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_VERSION, _NO_TRACE, _NO_SPAN = "ff", "0" * 32, "0" * 16
_KNOWN_VERSION = "00"
SAMPLED = 1
_RATIO_BITS = 56
"""The part of a trace id that is random by the standard's second level: its last seven bytes."""

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span's place: 32 and 16 hex digits, and whether its trace is recorded."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """As a header says it."""
        return f"{_KNOWN_VERSION}-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """An HTTP request that is being served."""

    place: TraceContext
    parent_id: str | None
    """The caller's span; None: the request is the root of its trace."""
    began_at: datetime


def current_traceparent() -> str | None:
    """Of the request being served; None: it is not traced."""
    return _current.get()


def set_current(traceparent: str | None) -> None:
    """For the running task and those it starts."""
    _current.set(traceparent)


def parsed(traceparent: str | None) -> TraceContext | None:
    """What a header says; None when it says nothing that can be used."""
    found = None if traceparent is None else _FORM.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == _NO_VERSION or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    if version == _KNOWN_VERSION and rest is not None:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def new_trace(sample_ratio: float, *, trace_id: str | None = None) -> TraceContext:
    """The root of a trace. The share `sample_ratio` of all trace ids is recorded, the same ones in every process."""
    trace_id = trace_id or secrets.token_hex(16)
    return TraceContext(trace_id, secrets.token_hex(8), is_in_sample(trace_id, sample_ratio))


def child_of(parent: TraceContext) -> TraceContext:
    """A new span in the parent's trace."""
    return TraceContext(parent.trace_id, secrets.token_hex(8), parent.is_sampled)


def trace_id_of_run(run_id: str) -> str:
    """The trace of a run that nothing traced has asked for: all its walks share it."""
    return UUID(run_id).hex


def is_in_sample(trace_id: str, ratio: float) -> bool:
    """Is this trace among the share `ratio`, in [0, 1], of all?"""
    return int(trace_id, 16) % (1 << _RATIO_BITS) < ratio * (1 << _RATIO_BITS)
