"""What a waiting step keeps as its output: until when, how many answers it knows, and what its node shows."""

from collections.abc import Mapping
from datetime import datetime

from bridge.json_types import JsonObject
from flows.engine_services import Answers
from flows.runs import StepRun
from nodes.waiting import StepWaits


def kept_while_waiting(waits: StepWaits, answers_seen: int) -> JsonObject:
    """The output of a step that waits."""
    until = waits.until.isoformat() if waits.until else None
    return {**waits.shows, "until": until, "answers_seen": answers_seen}


def waits_until(step: StepRun) -> datetime | None:
    """When a waiting step goes on by itself; None for others, and where only an answer helps."""
    until = step.output.get("until") if step.status == "waiting" and isinstance(step.output, Mapping) else None
    return datetime.fromisoformat(until) if isinstance(until, str) else None


async def has_news(answers: Answers, run_id: str, step: StepRun) -> bool:
    """Has somebody answered since the waiting step looked?"""
    if step.status != "waiting" or not isinstance(step.output, Mapping):
        return False
    return len(await answers.of(run_id, step.path)) != step.output.get("answers_seen")
