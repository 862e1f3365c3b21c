"""What the bridge raises.

BridgeError
├── ConfigurationError          the bridge cannot be built or used as configured
├── NoRouteError                no deployment meets the request's constraints
├── UnknownModelError           the name is neither an alias nor a model of the catalogue
├── UnsupportedFeatureError     the model lacks what the request asks for
├── BudgetExceededError         the call would cross a spend cap
├── BudgetUnavailableError      a spend cap applies, and whoever decides about it does not answer
├── JournalUnavailableError     the attempt cannot be written down, so it was not sent
├── SchemaViolationError        the answer does not validate, after the re-ask
├── DeadlineExceededError       the deadline over all attempts has passed
├── StreamInterruptedError      a stream died after its first token was relayed
└── ProviderError               one attempt at one deployment failed
    ├── RateLimitedError        slow down; carries retry_after_s
    ├── UnavailableError        timeout, refused connection or 5xx
    │   ├── AttemptTimeoutError no answer (or no first token) in time: a silent route is not tried again
    │   └── NotReachedError     refused, no such host, no TLS: the request was never sent
    ├── NotServedError          404: this deployment does not serve the model, another may
    ├── UnsupportedHereError    400: this model does not take a parameter or role, another may
    ├── CredentialError         401, 402, 403: this credential will not work, another may
    ├── ContextLengthError      the prompt is too long for this model; a bigger window may do
    ├── ContentFilterError      the provider refused the content
    ├── MalformedReplyError     the reply cannot be read
    └── RejectedError           this request is invalid; no other attempt will help
"""

from typing import ClassVar, Literal

ErrorClass = Literal[
    "rate_limit",
    "timeout",
    "unavailable",
    "invalid_request",
    "auth",
    "budget",
    "validation",
    "schema_violation",
    "content_filter",
    "user",
    "internal",
]


class BridgeError(Exception):
    """Base of everything the bridge raises. `error_class` is the word flows and records use for it."""

    error_class: ClassVar[ErrorClass] = "internal"
    call: object = None
    """The CallRecord of the call that ended with this error; None before a call began."""


class ConfigurationError(BridgeError):
    """The configuration names something that does not exist or cannot work; the text says what to change.

    `problems` holds one sentence for each, when there are several.
    """

    error_class = "validation"

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class NoRouteError(BridgeError):
    """No candidate is eligible. `dropped` says why for each: deployment name -> reason."""

    error_class = "unavailable"

    def __init__(self, message: str, *, dropped: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.dropped = dropped or {}


class UnknownModelError(BridgeError):
    """Neither an alias nor `provider/model`. `suggestion` is the nearest known name, if one is near."""

    error_class = "invalid_request"

    def __init__(self, name: str, *, suggestion: str | None = None) -> None:
        hint = f"; did you mean {suggestion!r}?" if suggestion else "; `modelbridge models` lists the names"
        super().__init__(f"unknown model or alias {name!r}{hint}")
        self.name = name
        self.suggestion = suggestion


class UnsupportedFeatureError(BridgeError):
    """The model cannot do what was asked, and no other candidate can."""

    error_class = "invalid_request"


class BudgetExceededError(BridgeError):
    """The call's worst case does not fit into what is left of a budget."""

    error_class = "budget"

    def __init__(self, message: str, *, scope: str, limit_nano_usd: int, left_nano_usd: int) -> None:
        super().__init__(message)
        self.scope = scope
        self.limit_nano_usd = limit_nano_usd
        self.left_nano_usd = left_nano_usd


class BudgetUnavailableError(BridgeError):
    """A budget applies, the money held ahead does not suffice, and the ledger does not answer. Try again later."""

    error_class = "unavailable"


class JournalUnavailableError(BridgeError):
    """What is spent could not be written down (the disk is full), so nothing was sent. Try again later."""

    error_class = "unavailable"


class SchemaViolationError(BridgeError):
    """The answer is not the asked-for JSON. `text` is what came; `problem` says where it fails."""

    error_class = "schema_violation"

    def __init__(self, problem: str, *, text: str) -> None:
        super().__init__(f"the answer does not match the schema: {problem}")
        self.problem = problem
        self.text = text


class DeadlineExceededError(BridgeError):
    """All attempts together took longer than allowed."""

    error_class = "timeout"


class StreamInterruptedError(BridgeError):
    """The stream ended before the answer did. What was relayed is incomplete and must be shown as such."""

    error_class = "unavailable"


class ProviderError(BridgeError):
    """One attempt at one deployment failed."""

    error_class = "unavailable"
    retryable: ClassVar[bool] = False
    """May the same deployment be tried again?"""
    try_next: ClassVar[bool] = True
    """May the next candidate be tried?"""
    surely_unbilled: ClassVar[bool] = False
    """Is it certain that the provider charges nothing for this attempt?"""

    def __init__(
        self,
        message: str,
        *,
        deployment: str,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.deployment = deployment
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.record: object = None
        """The attempt's AttemptRecord, once the attempt is over; `bridge.attempt.record_of` reads it."""


class RateLimitedError(ProviderError):
    """The provider asked for a pause of `retry_after_s` seconds, if it said how long."""

    error_class = "rate_limit"
    retryable = True
    surely_unbilled = True


class UnavailableError(ProviderError):
    """Refused connection, reset or 5xx."""

    retryable = True


class AttemptTimeoutError(UnavailableError):
    """No answer in time. Trying a silent route again only doubles the wait."""

    error_class = "timeout"
    retryable = False


class NotReachedError(UnavailableError):
    """No connection was made, so nothing was sent and nothing is billed."""

    surely_unbilled = True


class NotServedError(ProviderError):
    """The address answers, but not for this model or path."""

    surely_unbilled = True


class UnsupportedHereError(ProviderError):
    """The model does not take something of the request; that tells nothing of its health, and others may take it."""

    error_class = "invalid_request"
    surely_unbilled = True


class CredentialError(ProviderError):
    """The credential is wrong, out of funds or not allowed."""

    error_class = "auth"
    surely_unbilled = True


class ContextLengthError(ProviderError):
    """The prompt does not fit into this model's window."""

    error_class = "invalid_request"
    surely_unbilled = True


class ContentFilterError(ProviderError):
    """The provider refuses the content; another one is asked only where the alias says so."""

    error_class = "content_filter"
    try_next = False


class MalformedReplyError(ProviderError):
    """The reply is no JSON, not the dialect, or cut."""

    retryable = True


class RejectedError(ProviderError):
    """The request itself is wrong."""

    error_class = "invalid_request"
    try_next = False
    surely_unbilled = True
