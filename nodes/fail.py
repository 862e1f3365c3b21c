"""Stop with a message; and do nothing."""

from pydantic import Field

from nodes.context import NodeContext
from nodes.errors import UserStopError
from nodes.node import Node, NodeOutput, node_type


class NothingOutput(NodeOutput):
    """An empty map."""


@node_type("fail")
class FailNode(Node[NothingOutput]):
    """Fail the step with the author's message; the error's class is `user`."""

    output_type = NothingOutput

    message: str = Field(default="stopped by the flow", description="Why; shown in the run's errors.")

    async def run(self, context: NodeContext) -> NothingOutput:
        """Never returns. Raises UserStopError."""
        del context
        raise UserStopError(self.message)


@node_type("noop")
class NoopNode(Node[NothingOutput]):
    """Do nothing and succeed: a place where branches meet."""

    output_type = NothingOutput

    message: str | None = Field(default=None, description="A note for readers.")

    async def run(self, context: NodeContext) -> NothingOutput:
        """An empty output."""
        del context
        return NothingOutput()
