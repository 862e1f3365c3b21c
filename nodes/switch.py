"""Choose steps by case. The walker evaluates the cases and skips what is not taken."""

from typing import Annotated, ClassVar

from pydantic import Field

from bridge.json_types import JsonObject
from nodes.node import Block, Node, NodeOutput, node_type
from nodes.schemas import object_schema

StepNames = str | Annotated[list[str], Field(min_length=1)]


class Case(Block):
    """One case: the first whose `if` is true is taken."""

    condition: str | bool = Field(alias="if", description="Expression; must give true or false.")
    then: StepNames = Field(description="A step of the same block, or a list of them.")


class SwitchOutput(NodeOutput):
    """What was taken: the name or the list as written; null when nothing matched."""

    taken: str | list[str] | None


@node_type("switch")
class SwitchNode(Node[SwitchOutput]):
    """Take the steps of the first case that holds, else those of `default`; the other named steps are skipped."""

    output_type = SwitchOutput
    is_control = True
    late_fields: ClassVar[frozenset[str]] = frozenset({"cases"})

    cases: list[Case] = Field(min_length=1, description="Tried in order.")
    default: StepNames | None = Field(default=None, description="Taken when no case holds.")

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """`taken`: a name, a list of names, or null."""
        del raw
        taken: JsonObject = {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]
        }
        return object_schema({"taken": taken})
