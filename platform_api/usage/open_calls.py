"""The calls of one journal that are not over, as far as it was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.call_record import AttemptRecord, Dispatch
from platform_api.usage.journal_frames import Frame, StoredCall

CUT_OFF = "the process ended before the outcome of this call was recorded; what is not known counts at its worst case"


@dataclass(slots=True)
class _OpenCall:
    dispatches: dict[str, Dispatch] = field(default_factory=dict[str, Dispatch])
    settled: dict[str, AttemptRecord] = field(default_factory=dict[str, AttemptRecord])
    segments: set[Path] = field(default_factory=set[Path])


class OpenCalls:
    """Told of every frame that was read, in order. Telling it twice changes nothing."""

    def __init__(self) -> None:
        self._calls: dict[str, _OpenCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def segments(self) -> set[Path]:
        """What must stay on disk: a kill would make somebody read it again."""
        return {path for call in self._calls.values() for path in call.segments}

    def read(self, frame: Frame, segment: Path | None) -> None:
        """One more frame; `segment` holds it, None when no file does."""
        if isinstance(frame, StoredCall):
            self._calls.pop(frame.call_id, None)
            return
        call = self._calls.setdefault(frame.call_id, _OpenCall())
        if isinstance(frame, Dispatch):
            call.dispatches[frame.attempt_id] = frame
        else:
            call.settled[frame.attempt.attempt_id] = frame.attempt
        if segment is not None:
            call.segments.add(segment)

    def cut_off(self) -> list[StoredCall]:
        """The calls as a record would tell them: attempts by their end where it is known, else at their worst case."""
        return [
            cut_off_call(list(call.dispatches.values()), call.settled)
            for call in self._calls.values()
            if call.dispatches
        ]


def cut_off_call(dispatches: Sequence[Dispatch], settled: Mapping[str, AttemptRecord]) -> StoredCall:
    """A call of which only its attempts are known; `dispatches` are its, in order, at least one."""
    first, last = dispatches[0], dispatches[-1]
    return StoredCall(
        call_id=first.call_id,
        context=first.context,
        requested=first.requested,
        attempts=tuple(settled.get(one.attempt_id) or _lost(one) for one in dispatches),
        status="failed",
        cache="off",
        is_stream=first.is_stream,
        started_at=first.call_started_at,
        finished_at=last.at,
        alias=first.alias,
        error_class="internal",
        error_message=CUT_OFF,
        leases=last.leases,
    )


def _lost(dispatch: Dispatch) -> AttemptRecord:
    """An attempt whose end nobody knows: counted as if it had cost all it could."""
    return AttemptRecord(
        attempt_id=dispatch.attempt_id,
        deployment=dispatch.deployment,
        provider=dispatch.provider,
        model=dispatch.model,
        started_at=dispatch.at,
        duration_ms=0.0,
        ttft_ms=None,
        outcome="failed",
        error_class="internal",
        error_message=CUT_OFF,
        status=None,
        usage=None,
        cost_nano_usd=dispatch.worst_case_nano_usd,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=True,
    )


def is_lost(attempt: AttemptRecord) -> bool:
    """Is it such an attempt? Any other estimate has a usage."""
    return attempt.is_estimated and attempt.usage is None


def ended_calls(frames: Iterable[Frame]) -> list[StoredCall]:
    """The calls that are over; of two records of one call the later."""
    return list({frame.call_id: frame for frame in frames if isinstance(frame, StoredCall)}.values())
