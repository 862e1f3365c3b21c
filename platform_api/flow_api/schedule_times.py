"""When a cron line fires next, in its own time zone."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from platform_api.errors import FieldProblem, InvalidError

FIELDS = 5


def next_times(cron: str, timezone: str, *, after: datetime, count: int) -> list[datetime]:
    """The next `count` times in UTC; fewer when the line stops matching.

    Raises:
        InvalidError: The line is no five-field cron, or the zone is unknown.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidError(
            f"there is no time zone {timezone!r}", [FieldProblem("/timezone", "use a name such as Europe/Berlin")]
        ) from error
    if len(cron.split()) != FIELDS:
        raise InvalidError(
            f"{cron!r} is no cron line", [FieldProblem("/cron", "five fields: minute hour day month weekday")]
        )
    try:
        return [moment.astimezone(UTC) for moment in islice(CronSim(cron, after.astimezone(zone)), count)]
    except CronSimError as error:
        raise InvalidError(f"{cron!r} is no cron line", [FieldProblem("/cron", str(error))]) from error
