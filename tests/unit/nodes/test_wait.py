"""What a wait takes."""

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from nodes.wait import WaitNode
from nodes.waiting import StepWaits
from tests.support.fakes import START, node_context


@pytest.mark.parametrize(
    ("block", "until"),
    [
        ({"for": "90m"}, START + timedelta(minutes=90)),
        ({"until": "2025-01-01T03:00:00+02:00"}, START + timedelta(hours=1)),
    ],
)
async def test_it_waits_until_its_moment(block: dict[str, str], until: datetime) -> None:
    with pytest.raises(StepWaits) as waits:
        await WaitNode.model_validate(block).run(node_context())

    assert waits.value.until == until


@pytest.mark.parametrize("block", [{"for": "30m"}, {"until": "2025-01-01T00:00:00Z"}])
async def test_it_ends_when_the_moment_has_come(block: dict[str, str]) -> None:
    ended = await WaitNode.model_validate(block).run(node_context(waiting_since=START - timedelta(minutes=30)))

    assert ended.model_dump() == {"event": None}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({}, "either `for` or `until`"),
        ({"for": "1h", "until": "2026-05-01T12:00:00Z"}, "either `for` or `until`"),
        ({"for": "soon"}, "no duration"),
        ({"for": "400d"}, "at most 366 days"),
        ({"until": "tomorrow"}, "must be ISO 8601"),
        ({"until": "2026-05-01T12:00:00"}, "needs a time zone"),
    ],
)
def test_what_it_refuses(block: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        WaitNode.model_validate(block)
