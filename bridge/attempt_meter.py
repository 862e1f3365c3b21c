"""What one attempt used, cost and how it ended, as an AttemptRecord."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, Protocol

from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import PricedUsage, Prices
from bridge.chat import ChatRequest, ChatResponse, Usage
from bridge.clock import Clock
from bridge.errors import BridgeError, ProviderError
from bridge.money import to_nano_usd
from bridge.tokens import TokenEstimator
from bridge.worst_case import dispatched_bound_nano_usd, input_bound_tokens

UNBILLED = PricedUsage(nano_usd=0, ref=None)


@dataclass(frozen=True, slots=True)
class Produced:
    """What an attempt has brought so far: the provider's own count, if it gave one, and the bytes of the content."""

    usage: Usage | None = None
    content_bytes: int = 0


NOTHING = Produced()


class AttemptWatch(Protocol):
    """Is told how an attempt goes."""

    def dispatched(self, attempt: "AttemptMeter") -> None:
        """Its request is about to leave; what is raised here keeps it from leaving."""
        ...

    def ended(self, record: AttemptRecord) -> None:
        """It is over: once, whatever the end."""
        ...


class AttemptMeter:
    """Begins with the attempt; ends in exactly one record."""

    def __init__(
        self,
        attempt_id: str,
        request: ChatRequest,
        target: Deployment,
        *,
        prices: Prices,
        clock: Clock,
        estimator: TokenEstimator,
        watch: AttemptWatch | None = None,
    ) -> None:
        self.attempt_id = attempt_id
        self._request = request
        self._target = target
        self._prices = prices
        self._clock = clock
        self._estimator = estimator
        self._watch = watch
        self._started_at = clock.now()
        self._start_s = clock.monotonic()
        self._ttft_ms: float | None = None
        self.record: AttemptRecord | None = None

    @property
    def target(self) -> Deployment:
        """Who is asked."""
        return self._target

    @property
    def started_at(self) -> datetime:
        """When the attempt began."""
        return self._started_at

    def worst_case_nano_usd(self) -> int | None:
        """What it costs at most; None when its price is unknown."""
        return dispatched_bound_nano_usd(self._prices, self._request, self._target, self._started_at)

    def dispatched(self) -> None:
        """Say that the request is about to leave. Raises what keeps it from leaving."""
        if self._watch is not None:
            self._watch.dispatched(self)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the attempt began."""
        return self._clock.monotonic() - self._start_s

    def first_content(self) -> None:
        """The caller can see something now."""
        if self._ttft_ms is None:
            self._ttft_ms = self.elapsed_s * 1000

    def settled_usage(self, produced: Produced) -> Usage:
        """Usage that can be believed: the provider's, else an estimate that says it is one."""
        stated = produced.usage
        if stated is not None and is_believable(stated, self._target):
            self._estimator.learn(self._target.model, self._request, stated.input_tokens)
            return stated
        return self._estimated(produced)

    def _estimated(self, produced: Produced) -> Usage:
        """The prompt and what was received, by bytes; never more than what was held for the attempt."""
        limit = self._request.max_output_tokens
        output = self._estimator.tokens(self._target.model, produced.content_bytes)
        bound = input_bound_tokens(self._request, self._target.entry.context_window)
        return Usage(
            input_tokens=min(self._estimator.input_tokens(self._target.model, self._request), bound),
            output_tokens=output if limit is None else min(output, limit * max(self._request.n, 1)),
            is_estimated=True,
        )

    def succeeded(self, response: ChatResponse) -> AttemptRecord:
        """The record of an answer whose usage was settled."""
        return self._close(
            "succeeded",
            response.usage,
            status=200,
            finish=response,
        )

    def failed(self, error: ProviderError, produced: Produced) -> AttemptRecord:
        """The record of a failure, which is attached to `error` too. What may have been billed is estimated."""
        is_refusal = error.status is not None and error.status >= 400 and produced.content_bytes == 0
        is_unbilled = error.surely_unbilled or is_refusal
        usage = None if is_unbilled else self.settled_usage(produced)
        record = self._close("failed", usage, status=error.status, error=error)
        error.record = record
        return record

    def unsent(self, error: BridgeError) -> AttemptRecord:
        """The record of an attempt that our own side gave up before anything left."""
        return self._close("failed", None, status=None, error=error)

    def cancelled(self, produced: Produced) -> AttemptRecord:
        """The record of an attempt that nobody waits for any more: billed for what was produced."""
        return self._close("cancelled", self.settled_usage(produced), status=None)

    def _close(
        self,
        outcome: Literal["succeeded", "failed", "cancelled"],
        usage: Usage | None,
        *,
        status: int | None,
        error: BridgeError | None = None,
        finish: ChatResponse | None = None,
    ) -> AttemptRecord:
        if self.record is not None:
            return self.record
        cost = UNBILLED if usage is None else self._prices.cost(self._target, usage, self._started_at)
        self.record = AttemptRecord(
            attempt_id=self.attempt_id,
            deployment=self._target.name,
            provider=self._target.provider,
            model=self._target.model,
            started_at=self._started_at,
            duration_ms=self.elapsed_s * 1000,
            ttft_ms=self._ttft_ms,
            outcome=outcome,
            error_class=None if error is None else error.error_class,
            error_message=None if error is None else str(error),
            status=status,
            usage=usage,
            cost_nano_usd=cost.nano_usd,
            provider_cost_nano_usd=None if finish is None else provider_nano_usd(finish.provider_cost_usd),
            price=cost.ref,
            is_estimated=usage is not None and usage.is_estimated,
            finish_reason=None if finish is None else finish.finish_reason,
        )
        if self._watch is not None:
            self._watch.ended(self.record)
        return self.record


def is_believable(usage: Usage, target: Deployment) -> bool:
    """Could a provider have counted this? Nothing negative, no part above its whole, nothing beyond the window."""
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    if min(counts) < 0 or usage.total_tokens == 0:
        return False
    if usage.cached_tokens + usage.cache_write_tokens > usage.input_tokens:
        return False
    window = target.entry.context_window
    largest = None if window is None else max(window, target.entry.max_output_tokens or 0)
    return largest is None or (usage.input_tokens <= largest and usage.output_tokens <= largest)


def provider_nano_usd(cost_usd: float | None) -> int | None:
    """A cost that a provider stated, in nano-dollars; nonsense is None."""
    if cost_usd is None or cost_usd < 0:
        return None
    try:
        return to_nano_usd(Decimal(str(cost_usd)))
    except (InvalidOperation, ValueError, OverflowError):
        return None
