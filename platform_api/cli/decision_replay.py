"""`route --replay`: takes logged decisions again, and tells where the plan is another one now."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

if TYPE_CHECKING:
    from bridge.decision import Decision
    from bridge.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class Replayed:
    """One line of the file: the decision's id, and what differs or cannot be read; None: the same plan."""

    line: int
    decision_id: str
    problem: str | None


def replayed(path: Path) -> Iterator[Replayed]:
    """Every decision of the file taken again. A line is a decision, or a call that holds one; empty ones are passed
    over, and so is a call without a decision (its answer was in the cache).
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found = _replayed(number, line)
                if found is not None:
                    yield found


def difference(logged: "Decision", again: "Decision") -> str | None:
    """The first thing in which two decisions differ, in words."""
    if logged.attempts != again.attempts:
        return f"order was {', '.join(logged.attempts) or 'empty'}, is {', '.join(again.attempts) or 'empty'}"
    if logged.arm != again.arm:
        return f"arm was {logged.arm}, is {again.arm}"
    for before, after in zip(logged.candidates, again.candidates, strict=False):
        if before != after:
            fields = (name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name))
            name = next(fields)
            return f"{before.deployment}: {name} was {getattr(before, name)!r}, is {getattr(after, name)!r}"
    return None if logged == again else "the candidates differ"


def _replayed(number: int, line: bytes) -> Replayed | None:
    from bridge.decision import Decision
    from bridge.routing.policy import re_execute

    try:
        stored = msgspec.json.decode(line, type=dict[str, object])
        held = stored if "candidates" in stored else stored.get("decision", stored)
        if held is None:
            return None
        logged = Decision.from_json(cast("JsonObject", held))
        return Replayed(number, logged.id, difference(logged, re_execute(logged)))
    except ValueError as error:
        return Replayed(number, "", f"cannot be taken again: {error}")
