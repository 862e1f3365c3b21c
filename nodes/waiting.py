"""How a node says that its step waits. Not an error: the run is put aside and goes on later."""

from collections.abc import Mapping
from datetime import datetime

from bridge.json_types import JsonValue


class StepWaits(Exception):  # noqa: N818  # no error
    """The step goes on at `until`, or when somebody answers. `shows` is what those who look at it are to see."""

    def __init__(self, *, until: datetime | None, shows: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__("the step waits")
        self.until = until
        self.shows = dict(shows or {})
