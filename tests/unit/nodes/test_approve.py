"""Who decides, and what comes of it."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.json_types import JsonObject
from nodes.approve import ApproveNode, form_schema
from nodes.waiting import Answer, StepWaits
from tests.support.fakes import START, node_context

FORM: JsonObject = {"reply": {"type": "string", "default": "Dear customer"}, "refund": {"type": "number"}}


def said(who: str, decision: Any = "approve", *, minutes: int = 1, **fields: Any) -> Answer:
    return Answer(f"id-{who}", who, decision, START + timedelta(minutes=minutes), **fields)


async def decided(block: dict[str, Any], *answers: Answer, ago_h: float = 0.0) -> dict[str, Any]:
    context = node_context(waiting_since=START - timedelta(hours=ago_h), answers=answers)
    return (await ApproveNode.model_validate(block).run(context)).model_dump()


async def test_it_waits_and_shows_what_it_asks() -> None:
    block = {"form": FORM, "assignees": ["role:admin"], "quorum": 2, "expires": "4h"}

    with pytest.raises(StepWaits) as waits:
        await decided(block, said("ann"), ago_h=1)

    assert waits.value.until == START + timedelta(hours=3)
    assert waits.value.shows == {
        "form": FORM,
        "assignees": ["role:admin"],
        "quorum": 2,
        "four_eyes": False,
        "approved_by": ["ann"],
    }


async def test_enough_approvals_decide_and_the_last_values_count() -> None:
    first, last = said("ann", values={"reply": "a"}), said("bob", values={"refund": 2.0}, comment="fine")

    assert await decided({"form": FORM, "quorum": 2}, first, last) == {
        "decision": "approved",
        "by": ["ann", "bob"],
        "values": {"reply": "Dear customer", "refund": 2.0},
        "comment": "fine",
    }


async def test_one_rejection_decides() -> None:
    found = await decided({"quorum": 2}, said("ann"), said("bob", "reject", comment="no"))

    assert found == {"decision": "rejected", "by": ["bob"], "values": {}, "comment": "no"}


async def test_one_person_is_no_quorum_of_two() -> None:
    with pytest.raises(StepWaits):
        await decided({"quorum": 2}, said("ann"), said("ann", minutes=2))


async def test_it_expires_with_the_defaults() -> None:
    found = await decided({"form": FORM, "expires": "1h"}, ago_h=1)

    assert found == {"decision": "expired", "by": [], "values": {"reply": "Dear customer"}, "comment": None}


async def test_an_answer_that_comes_too_late_does_not_count() -> None:
    assert (await decided({"expires": "1h"}, said("ann", minutes=1), ago_h=1))["decision"] == "expired"


def test_its_values_have_the_types_of_its_form() -> None:
    schema: Any = ApproveNode.output_schema({"form": FORM})

    assert schema["properties"]["values"]["properties"] == {"reply": {"type": "string"}, "refund": {"type": "number"}}
    assert form_schema(FORM)["required"] == ["refund"]


@pytest.mark.parametrize(
    "block", [{"quorum": 0}, {"assignees": ["admins"]}, {"expires": "soon"}, {"expires": "999d"}, {"form": {"a": 1}}]
)
def test_what_it_refuses(block: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApproveNode.model_validate(block)
