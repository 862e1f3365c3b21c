"""How a status looks: word, icon and colour together, never colour alone."""

from dataclasses import dataclass
from typing import Literal

from studio.palette import CACHED, Tone

BadgeColor = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

ACTIVE_RUN = frozenset({"queued", "running", "waiting"})
FINAL_RUN = frozenset({"succeeded", "failed", "cancelled", "partial"})


@dataclass(frozen=True, slots=True)
class StatusStyle:
    """One status of a run or step as people see it. `icon` names a Material symbol."""

    word: str
    icon: str
    badge: BadgeColor
    tone: Tone


STATUSES: dict[str, StatusStyle] = {
    "queued": StatusStyle("Queued", "schedule", "gray", Tone("#64748b", "#94a3b8")),
    "pending": StatusStyle("Pending", "schedule", "gray", Tone("#64748b", "#94a3b8")),
    "running": StatusStyle("Running", "progress_activity", "blue", Tone("#2563eb", "#60a5fa")),
    "retrying": StatusStyle("Retrying", "refresh", "orange", Tone("#c2410c", "#fb923c")),
    "waiting": StatusStyle("Waiting", "front_hand", "yellow", Tone("#b45309", "#fbbf24")),
    "succeeded": StatusStyle("Succeeded", "check_circle", "green", Tone("#15803d", "#4ade80")),
    "partial": StatusStyle("Partial", "rule", "yellow", Tone("#b45309", "#fbbf24")),
    "failed": StatusStyle("Failed", "error", "red", Tone("#dc2626", "#f87171")),
    "cancelled": StatusStyle("Cancelled", "cancel", "gray", Tone("#6b7280", "#9ca3af")),
    "skipped": StatusStyle("Skipped", "skip_next", "gray", Tone("#6b7280", "#9ca3af")),
    "cached": StatusStyle("Cached", "bolt", "green", CACHED),
}
"""In the order in which charts stack and legends list them."""


def style(status: str) -> StatusStyle:
    """The look of `status`; a status this studio does not know is shown by its name, in grey."""
    known = STATUSES.get(status)
    return known or StatusStyle(status.replace("_", " ").capitalize(), "help", "gray", Tone("#64748b", "#94a3b8"))


def is_active(run_status: str) -> bool:
    """Whether a run of that status may still change."""
    return run_status in ACTIVE_RUN
