"""Ask people. The run is put aside until enough of them have answered, or nobody may any more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal, cast

from pydantic import Field, field_validator

from bridge.json_types import JsonObject, JsonValue
from nodes.context import NodeContext
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.schemas import object_schema, with_property
from nodes.waiting import Answer, StepWaits, waiting_time

Decision = Literal["approved", "rejected", "expired"]
Assignee = Annotated[str, Field(pattern=r"^(role:(owner|admin|member|viewer)|user:[^\s@]+@[^\s@]+)$")]
MAX_QUORUM = 20


class ApproveOutput(NodeOutput):
    """What was decided, by whom, with what."""

    decision: Decision
    by: list[str] = Field(description="Who approved, or who rejected; nobody when it expired.")
    values: dict[str, AnyJson] = Field(description="The form: defaults, and over them what the last one entered.")
    comment: str | None = Field(description="Of the last answer.")


@node_type("approve")
class ApproveNode(Node[ApproveOutput]):
    """Wait until `quorum` people approve, one rejects, or it expires; `decision` tells which, the flow goes on."""

    output_type = ApproveOutput
    is_replayable = False
    can_wait: ClassVar[bool] = True

    form: dict[str, dict[str, AnyJson]] = Field(
        default_factory=dict, description="Name -> JSON Schema with an optional `default`: what is asked for."
    )
    assignees: list[Assignee] = Field(
        default_factory=list, description="`role:admin`, `user:ann@example.com`; nobody named: whoever may approve."
    )
    quorum: int = Field(default=1, ge=1, le=MAX_QUORUM, description="How many different people must approve.")
    four_eyes: bool = Field(default=False, description="Whoever started the run may not approve it.")
    expires: str | None = Field(default=None, description="After so long the decision is `expired`: `4h`, `7d`.")

    @field_validator("expires")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None:
            waiting_time(value)
        return value

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """`values` with the schemas of the form; a field is there when it has a default or was entered."""
        schema = super().output_schema(raw)
        form = raw.get("form")
        if not isinstance(form, Mapping):
            return schema
        fields = {name: _without_default(part) for name, part in form.items()}
        return with_property(schema, "values", object_schema(fields, required=()))

    async def run(self, context: NodeContext) -> ApproveOutput:
        """The decision. Raises StepWaits while there is none."""
        now = context.clock.now()
        expires_at = self._expires_at(context.waiting_since or now)
        in_time = [one for one in context.answers if expires_at is None or one.at < expires_at]
        rejection = next((one for one in in_time if one.decision == "reject"), None)
        if rejection is not None:
            return self._decided("rejected", [rejection])
        if len({one.user_id for one in in_time}) >= self.quorum:
            return self._decided("approved", in_time)
        if expires_at is not None and now >= expires_at:
            return self._decided("expired", [])
        raise StepWaits(until=expires_at, shows=self._shown(in_time))

    def _decided(self, decision: Decision, answers: list[Answer]) -> ApproveOutput:
        last = answers[-1] if answers else None
        values = {**_defaults(cast("JsonObject", self.form)), **(last.values if last else {})}
        by, comment = [one.by for one in answers], last.comment if last else None
        return ApproveOutput.model_validate({"decision": decision, "by": by, "values": values, "comment": comment})

    def _expires_at(self, since: datetime) -> datetime | None:
        return since + waiting_time(self.expires) if self.expires is not None else None

    def _shown(self, answers: list[Answer]) -> JsonObject:
        return {
            "form": cast("JsonObject", self.form),
            "assignees": list(self.assignees),
            "quorum": self.quorum,
            "four_eyes": self.four_eyes,
            "approved_by": [one.by for one in answers],
        }


def form_schema(form: Mapping[str, JsonValue]) -> JsonObject:
    """JSON Schema of what is entered: fields without a default are required."""
    required = [name for name, part in form.items() if not (isinstance(part, Mapping) and "default" in part)]
    return object_schema(form, required=required)


def _defaults(form: JsonValue) -> JsonObject:
    if not isinstance(form, Mapping):
        return {}
    return {name: part["default"] for name, part in form.items() if isinstance(part, Mapping) and "default" in part}


def _without_default(schema: JsonValue) -> JsonObject:
    return {name: part for name, part in schema.items() if name != "default"} if isinstance(schema, Mapping) else {}
