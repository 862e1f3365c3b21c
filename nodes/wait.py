"""Let time pass. The run is put aside meanwhile: it holds neither a worker nor a place in its group."""

from datetime import datetime
from typing import ClassVar, Self

from pydantic import Field, model_validator

from nodes.context import NodeContext
from nodes.errors import InvalidInputError
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.waiting import LONGEST, StepWaits, waiting_time


class WaitOutput(NodeOutput):
    """What was waited for."""

    event: AnyJson = Field(default=None, description="Null: only time was waited for.")


@node_type("wait")
class WaitNode(Node[WaitOutput]):
    """Wait for a duration, or until a moment; give one of them."""

    output_type = WaitOutput
    can_wait: ClassVar[bool] = True

    duration: str | None = Field(default=None, alias="for", description="`500ms`, `30s`, `15m`, `4h` or `7d`.")
    until: str | None = Field(default=None, description="ISO 8601 with a time zone: `2026-05-01T12:00:00+02:00`.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.duration is None) == (self.until is None):
            raise ValueError("give either `for` or `until`")
        if self.duration is not None:
            waiting_time(self.duration)
        if self.until is not None:
            _moment(self.until)
        return self

    async def run(self, context: NodeContext) -> WaitOutput:
        """Return once the time has come. Raises StepWaits before."""
        now = context.clock.now()
        since = context.waiting_since or now
        wake_at = since + waiting_time(self.duration) if self.duration else _moment(self.until or "")
        if wake_at - since > LONGEST:
            raise InvalidInputError(f"`until` is more than {LONGEST.days} days away: {wake_at.isoformat()}")
        if now < wake_at:
            raise StepWaits(until=wake_at)
        return WaitOutput(event=None)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"`until` must be ISO 8601, like 2026-05-01T12:00:00+02:00; it is {text!r}") from error
    if moment.tzinfo is None:
        raise ValueError(f"`until` needs a time zone: {text}Z, or {text}+02:00")
    return moment
