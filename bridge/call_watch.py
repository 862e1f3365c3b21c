"""One attempt of a call, told to everybody who has to know: the call's log, the journal, failover."""

from bridge.attempt_meter import AttemptMeter
from bridge.call_log import CallLog
from bridge.call_record import AttemptRecord, CallJournal, Dispatch
from bridge.reliability.failover import Failover
from bridge.reliability.health_book import Flight
from bridge.reservation import Reservation


class CallWatch:
    """Implements AttemptWatch for one trial. Without a journal nothing is written down."""

    def __init__(
        self, log: CallLog, reservation: Reservation, journal: CallJournal | None, failover: Failover, flight: Flight
    ) -> None:
        self._log = log
        self._reservation = reservation
        self._journal = journal
        self._failover = failover
        self._flight = flight

    def dispatched(self, attempt: AttemptMeter) -> None:
        """Write it down before its request leaves. Raises JournalUnavailableError; then it must not leave."""
        if self._journal is None:
            return
        log, target = self._log, attempt.target
        self._tell(self._journal)
        self._journal.dispatched(
            Dispatch(
                attempt_id=attempt.attempt_id,
                call_id=log.call_id,
                context=log.context,
                requested=log.request.model,
                alias=log.alias,
                is_stream=log.is_stream,
                call_started_at=log.started_at,
                deployment=target.name,
                provider=target.provider,
                model=target.model,
                at=attempt.started_at,
                worst_case_nano_usd=attempt.worst_case_nano_usd(),
                leases=self._reservation.leases,
            )
        )

    def ended(self, record: AttemptRecord) -> None:
        """The call may go on after a failure: its record is written down now. An answer mostly ends the call."""
        self._log.attempted(record)
        self._failover.ended(self._flight, record)
        if record.outcome != "succeeded" and self._journal is not None:
            self._tell(self._journal)

    def _tell(self, journal: CallJournal) -> None:
        for record in self._log.untold():
            journal.settled(self._log.call_id, record)
