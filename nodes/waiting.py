"""How a node says that its step waits, and what it is told of the answers. The run is put aside and goes on later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from bridge.json_types import JsonObject, JsonValue
from nodes.durations import seconds

LONGEST = timedelta(days=366)


def waiting_time(text: str) -> timedelta:
    """A duration that may be waited for, as flows write it. ValueError when it is none, or longer than LONGEST."""
    duration = timedelta(seconds=seconds(text))
    if duration > LONGEST:
        raise ValueError(f"at most {LONGEST.days} days can be waited for")
    return duration


class StepWaits(Exception):  # noqa: N818  # no error
    """The step goes on at `until`, or when somebody answers. `shows` is what those who look at it are to see."""

    def __init__(self, *, until: datetime | None, shows: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__("the step waits")
        self.until = until
        self.shows = dict(shows or {})


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said to a waiting step. A person answers once."""

    user_id: str
    by: str
    """For people: an e-mail address."""
    decision: Literal["approve", "reject"]
    at: datetime
    values: JsonObject = field(default_factory=dict[str, JsonValue])
    comment: str | None = None
