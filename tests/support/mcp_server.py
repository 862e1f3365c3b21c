"""A real MCP server: `python -m tests.support.mcp_server` on standard input and output, with a port by HTTP."""

import os
import sys
import time

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("tests")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@server.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


@server.tool()
def environment() -> list[str]:
    """Names of the variables the server was given."""
    return sorted(os.environ)


@server.tool()
def refuse() -> str:
    """Fail."""
    raise ToolError("no such customer")


@server.tool()
def die() -> str:
    """End the whole server in the middle of the call."""
    os._exit(3)


@server.tool()
def sleep(seconds: float) -> str:
    """Answer late."""
    time.sleep(seconds)
    return "late"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
