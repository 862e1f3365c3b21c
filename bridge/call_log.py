"""What happens in one call, collected while it happens; ends in exactly one CallRecord."""

from datetime import datetime

from bridge.call_record import AttemptRecord, CacheOutcome, CallContext, CallKind, CallRecord, CallStatus, Lease
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.decision import Decision
from bridge.errors import BridgeError, ErrorClass


class CallLog:
    """The story of one call so far."""

    def __init__(
        self,
        call_id: str,
        request: ChatRequest,
        context: CallContext,
        *,
        is_stream: bool,
        clock: Clock,
        kind: CallKind = "chat",
    ) -> None:
        self.call_id = call_id
        self.request = request
        self.context = context
        self.is_stream = is_stream
        self.kind: CallKind = kind
        self.alias: str | None = None
        self.decision: Decision | None = None
        self.cache: CacheOutcome = "off"
        self.cache_similarity: float | None = None
        self.re_asks = 0
        self.is_rescued = False
        self._attempts: list[AttemptRecord] = []
        self._n_told = 0
        self._clock = clock
        self._started_at = clock.now()
        self._record: CallRecord | None = None

    @property
    def started_at(self) -> datetime:
        """When the call began."""
        return self._started_at

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended."""
        return tuple(self._attempts)

    def attempted(self, record: AttemptRecord) -> None:
        """One more attempt has ended."""
        self._attempts.append(record)

    def untold(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended since this was asked last."""
        told, self._n_told = self._n_told, len(self._attempts)
        return tuple(self._attempts[told:])

    def close(self, status: CallStatus, leases: tuple[Lease, ...], error: BaseException | None = None) -> CallRecord:
        """The record. Closing again returns the first one."""
        if self._record is None:
            self._record = CallRecord(
                call_id=self.call_id,
                context=self.context,
                requested=self.request.model,
                alias=self.alias,
                decision=self.decision,
                attempts=self.attempts,
                status=status,
                cache=self.cache,
                cache_similarity=self.cache_similarity,
                is_stream=self.is_stream,
                started_at=self._started_at,
                finished_at=self._clock.now(),
                error_class=_class_of(error) if status == "failed" else None,
                error_message=_message_of(error) if status == "failed" else None,
                re_asks=self.re_asks,
                is_rescued=self.is_rescued,
                leases=leases,
                kind=self.kind,
            )
        return self._record

    @property
    def is_closed(self) -> bool:
        """Has the record been made?"""
        return self._record is not None


def _class_of(error: BaseException | None) -> ErrorClass:
    return error.error_class if isinstance(error, BridgeError) else "internal"


def _message_of(error: BaseException | None) -> str:
    """A foreign error's text may hold anything; its kind is enough here, the log has the rest."""
    return str(error) if isinstance(error, BridgeError) else f"internal error: {type(error).__name__}"
