"""Sessions with MCP servers that the operator named, by the official SDK: started programs and HTTP addresses."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from bridge.errors import BridgeError, ErrorClass, UnsupportedFeatureError
from bridge.json_types import JsonObject, JsonValue
from bridge.structured_output import schema_problem
from nodes.errors import InvalidInputError, NodeError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

MAX_PAGES = 20
MAX_TEXT_CHARS = 1_000_000
_CLASSES: Mapping[int, ErrorClass] = {-32000: "unavailable", -32001: "timeout", -32603: "unavailable"}
"""Of JSON-RPC errors: connection closed, request timed out, the server's own fault. Others are `invalid_request`."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A program that is started for a session, or an address of the streamable HTTP transport."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Beyond PATH, HOME and the like, which are all it inherits."""
    folder: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool as the server describes it."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class McpAnswer:
    """What a tool gave: structured content where it gave some, else its text."""

    result: JsonValue
    text: str


class McpSession:
    """One open session. Not to be used after its block has ended."""

    def __init__(self, name: str, client: "Client") -> None:
        self._name = name
        self._client = client
        self._tools: dict[str, McpTool] | None = None

    async def tools(self) -> Mapping[str, McpTool]:
        """All tools of the server by name; asked for once a session."""
        if self._tools is not None:
            return self._tools
        found: dict[str, McpTool] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            for tool in page.tools:
                schema = cast("JsonObject", dict(tool.input_schema))
                found[tool.name] = McpTool(tool.name, tool.description or "", schema)
            cursor = page.next_cursor
            if cursor is None:
                break
        self._tools = found
        return found

    async def call(self, name: str, arguments: Mapping[str, JsonValue]) -> McpAnswer:
        """Call a tool with arguments that fit its schema.

        Raises:
            InvalidInputError: There is no such tool, or the arguments do not fit.
            NodeError: The tool says that it failed (`user`), or gave too much.
        """
        tools = await self.tools()
        if name not in tools:
            raise InvalidInputError(f"mcp: {self._name} has no tool {name!r} (it has: {', '.join(sorted(tools))})")
        try:
            problem = schema_problem(dict(arguments), tools[name].parameters)
        except UnsupportedFeatureError:  # the server's own schema is broken: the server will say what it wants
            problem = None
        if problem is not None:
            raise InvalidInputError(f"mcp: the arguments of {name} do not fit: {problem}")
        answer = await self._client.call_tool(name, dict(arguments))
        text = _text_of(answer)
        if answer.is_error:
            raise NodeError(f"mcp: {name} failed: {text[:1000] or 'it does not say why'}", error_class="user")
        if len(text) > MAX_TEXT_CHARS:
            raise NodeError(f"mcp: {name} gave more than {MAX_TEXT_CHARS} characters", error_class="invalid_request")
        structured = cast("JsonValue", answer.structured_content)
        return McpAnswer(text if structured is None else structured, text)


@asynccontextmanager
async def mcp_session(name: str, server: McpServer) -> AsyncGenerator[McpSession]:
    """A session with the server; a started program is ended with it. Enter and leave it in one task.

    Raises:
        NodeError: It cannot be started or reached, breaks off, or answers out of protocol. Also for calls inside.
    """
    try:
        async with AsyncExitStack() as stack:
            yield McpSession(name, await stack.enter_async_context(await _client(server, stack)))
    except (NodeError, BridgeError, TimeoutError):
        raise
    except Exception as error:
        raise _failure(name, error) from error


async def _client(server: McpServer, stack: AsyncExitStack) -> "Client":
    import httpx2
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if server.url is not None:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=dict(server.headers), timeout=30.0))
        return Client(streamable_http_client(server.url, http_client=http), cache=None)
    program, *arguments = server.command
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(server.env), cwd=server.folder)
    silent = stack.enter_context(await asyncio.to_thread(open, os.devnull, "w"))
    return Client(stdio_client(parameters, errlog=silent), cache=None)


def _text_of(answer: "CallToolResult") -> str:
    return "\n".join(str(getattr(block, "text", "")) for block in answer.content if getattr(block, "text", None))


def _failure(name: str, error: Exception) -> NodeError | BridgeError:
    """The first cause that says something, out of the groups that sessions raise: ours, or the protocol's."""
    from mcp import MCPError

    causes = list(_leaves(error))
    told = next((one for one in causes if isinstance(one, NodeError | BridgeError)), None)
    if told is not None:
        return told
    rpc = next((one for one in causes if isinstance(one, MCPError)), None)
    if rpc is not None:
        return NodeError(f"mcp: {name}: {rpc.message}", error_class=_CLASSES.get(rpc.code, "invalid_request"))
    first = causes[0]
    return NodeError(f"mcp: {name} cannot be reached: {first or type(first).__name__}", error_class="unavailable")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error
