"""What the mock says and how it fails, as validated options of `providers.mock`."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from bridge.errors import ConfigurationError

FaultKind = Literal[
    "rate_limit",
    "status",
    "auth",
    "content_filter",
    "context_length",
    "refused",
    "reset",
    "hang",
    "timeout",
    "slow_first_token",
    "cut",
    "stall",
    "broken_chunk",
    "malformed",
    "no_finish",
    "no_done",
    "no_usage",
    "absurd_usage",
]
UNBILLED_FAULTS = frozenset({"rate_limit", "status", "auth", "content_filter", "context_length", "refused", "reset"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MockMatch(_Frozen):
    """Which requests are meant; every given field must fit."""

    model: str | None = Field(default=None, description="The provider's model id; `*` and `?` are wildcards.")
    text: str | None = Field(default=None, description="Found in the newest user message, case ignored.")
    pattern: str | None = Field(default=None, description="Regular expression found in any message.")
    stream: bool | None = None
    tools: bool | None = Field(default=None, description="Does the request offer tools?")


class MockToolCall(_Frozen):
    """A tool call to answer with. `arguments` as an object, or as text to send something that is no JSON."""

    name: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict[str, JsonValue])


class MockUsage(_Frozen):
    """Token counts to report instead of counted ones."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class MockReply(_Frozen):
    """One scripted answer. `json` is sent as text; `{text}` in `text` is the newest user message."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    match: MockMatch = MockMatch()
    text: str | None = None
    json_value: JsonValue = Field(default=None, alias="json")
    tool_calls: tuple[MockToolCall, ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    usage: MockUsage | None = None
    times: int | None = Field(default=None, ge=1, description="Used up after so many requests; None: never.")


class MockFault(_Frozen):
    """One failure. It applies to the matching requests after the first `skip`, `times` of them (null: all)."""

    kind: FaultKind
    match: MockMatch = MockMatch()
    times: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    status: int = Field(default=500, ge=400, le=599, description="For `status`.")
    retry_after_s: float | None = Field(default=None, ge=0, description="Sent as Retry-After.")
    after_chunks: int = Field(default=0, ge=0, description="For faults inside a stream: chunks that still come.")
    seconds: float = Field(default=30.0, ge=0, description="For `slow_first_token` and `stall`.")


class MockLatency(_Frozen):
    """Milliseconds, drawn evenly from the range for every request."""

    min_ms: float = Field(default=0.0, ge=0)
    max_ms: float = Field(default=0.0, ge=0)


class MockOptions(_Frozen):
    """Options of the mock. With none it echoes, fills schemas and calls tools it must call."""

    seed: int = 0
    latency: MockLatency = MockLatency()
    ms_per_token: float = Field(default=0.0, ge=0, description="Pause between the chunks of a stream.")
    counter_path: str | None = Field(default=None, description="File that gets one JSON line a request.")
    default_text: str = "mock answer to: {text}"
    replies: tuple[MockReply, ...] = ()
    faults: tuple[MockFault, ...] = ()

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> "MockOptions":
        """The options under `providers.mock.options`.

        Raises:
            ConfigurationError: Every problem, with its path.
        """
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
            raise ConfigurationError("providers.mock.options: " + "; ".join(problems)) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to the mock says, as far as scripts look at it."""

    model: str
    newest_text: str
    all_text: str
    is_stream: bool
    has_tools: bool

    def fits(self, match: MockMatch) -> bool:
        """Is it one of the requests meant by `match`?"""
        return (
            (match.model is None or fnmatch.fnmatchcase(self.model, match.model))
            and (match.text is None or match.text.lower() in self.newest_text.lower())
            and (match.pattern is None or re.search(match.pattern, self.all_text) is not None)
            and match.stream in (None, self.is_stream)
            and match.tools in (None, self.has_tools)
        )


class MockScript:
    """Picks reply and fault for each request, and counts how often each was used."""

    def __init__(self, options: MockOptions) -> None:
        self._options = options
        self._reply_uses = [0] * len(options.replies)
        self._fault_uses = [0] * len(options.faults)

    def reply(self, asked: Asked) -> MockReply | None:
        """The first scripted reply that fits and is not used up."""
        for position, reply in enumerate(self._options.replies):
            if asked.fits(reply.match) and (reply.times is None or self._reply_uses[position] < reply.times):
                self._reply_uses[position] += 1
                return reply
        return None

    def fault(self, asked: Asked) -> MockFault | None:
        """The first fault that is due for this request."""
        for position, fault in enumerate(self._options.faults):
            if not asked.fits(fault.match):
                continue
            if fault.times is not None and self._fault_uses[position] >= fault.skip + fault.times:
                continue
            self._fault_uses[position] += 1
            if self._fault_uses[position] > fault.skip:
                return fault
        return None
