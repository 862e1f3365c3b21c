"""One tool call at an MCP server."""

import asyncio
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from nodes.context import NodeContext
from nodes.durations import seconds
from nodes.errors import NodeError
from nodes.mcp_servers import McpServer, mcp_session
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.outside import Outside

LONGEST_S = 600.0


class McpOutput(NodeOutput):
    """What the tool gave."""

    result: AnyJson = Field(description="Its structured content; its text where it has none.")
    text: str = Field(description="Its text content.")


@node_type("mcp")
class McpNode(Node[McpOutput]):
    """Call a tool of an MCP server that the operator named, with arguments checked by the tool's own schema.

    A program is started for the call and ended after it; an address is spoken to by streamable HTTP. That the tool
    says it failed is `user`, a server that breaks off `unavailable`.
    """

    output_type = McpOutput
    is_replayable: ClassVar[bool] = False

    server: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="A name under `mcp_servers` in modelbridge.yaml."
    )
    tool: Annotated[str, Field(min_length=1, max_length=200)]
    args: dict[str, AnyJson] = Field(default_factory=dict)
    timeout: str = Field(default="60s", description="Longest time, starting the server included; at most 10m.")

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if not 0 < seconds(value) <= LONGEST_S:
            raise ValueError(f"the time must be longer than nothing and at most {LONGEST_S:g} s")
        return value

    async def run(self, context: NodeContext) -> McpOutput:
        """Call once. Raises NodeError."""
        server = named_server(context.outside, self.server)
        limit_s = seconds(self.timeout)
        try:
            async with asyncio.timeout(limit_s), mcp_session(self.server, server) as session:
                answer = await session.call(self.tool, self.args)
        except TimeoutError as error:
            raise NodeError(f"mcp: no answer of {self.server} within {limit_s:g} s", error_class="timeout") from error
        return McpOutput.model_validate({"result": answer.result, "text": answer.text})


def named_server(outside: Outside, name: str) -> McpServer:
    """The operator's server of that name. Raises NodeError."""
    if name not in outside.mcp_servers:
        known = ", ".join(sorted(outside.mcp_servers)) or "none"
        message = f"mcp: there is no server {name!r} under `mcp_servers` (there are: {known})"
        raise NodeError(message, error_class="invalid_request")
    return outside.mcp_servers[name]
