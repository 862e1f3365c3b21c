"""The tools of an agent: how they are written, what the model is told of them, and how a call of one is executed.

A call that cannot be executed is no failure of the step: the model is told what is wrong, and may do better.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Literal, Self, cast

from pydantic import Field, ValidationError, model_validator

from bridge.chat import Tool, ToolCall
from bridge.errors import BridgeError, UnsupportedFeatureError
from bridge.json_types import JsonObject, JsonValue
from bridge.structured_output import schema_problem
from nodes.chat_blocks import TOOL_NAME
from nodes.context import NodeContext
from nodes.errors import InvalidInputError, NodeError
from nodes.http import HttpNode
from nodes.mcp import named_server
from nodes.mcp_servers import McpSession, mcp_session
from nodes.node import AnyJson, Block

FLOW = r"^[a-z][a-z0-9_-]{0,62}(@[1-9][0-9]*)?$"
MAX_TOOLS = 64
MAX_TOOLS_BYTES = 64 * 1024
"""Of what the model is told about all tools together."""
MAX_RESULT_CHARS = 16_000
"""Of one tool's answer; the rest is left out, and the model is told so."""
NOTHING: JsonObject = {"type": "object", "properties": {}, "additionalProperties": False}


class HttpTool(Block):
    """A request whose address is fixed; the model's arguments are its query, or for POST and the like its JSON."""

    url: Annotated[str, Field(min_length=1, max_length=8_192)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)


class AgentTool(Block):
    """One tool, or all those of an MCP server."""

    name: Annotated[str, Field(pattern=TOOL_NAME)] | None = Field(
        default=None, description="Of an http tool; of a flow, instead of its own."
    )
    description: Annotated[str, Field(max_length=2_000)] = Field(
        default="", description="Of an http tool; of a flow, instead of its own."
    )
    parameters: dict[str, AnyJson] = Field(default_factory=dict, description="JSON Schema of an http tool's arguments.")
    http: HttpTool | None = None
    flow: Annotated[str, Field(pattern=FLOW)] | None = Field(
        default=None, description="A published flow, `name` or `name@version`; its inputs are the arguments."
    )
    mcp: str | None = Field(default=None, description="A server under `mcp_servers`; its tools keep their names.")
    only: list[str] = Field(default_factory=list, description="Which tools of the MCP server; empty: all.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.http, self.flow, self.mcp)) != 1:
            raise ValueError("a tool is one of http, flow and mcp")
        if self.http is not None and self.name is None:
            raise ValueError("an http tool needs a name")
        return self


Run = Callable[[JsonObject], Awaitable[JsonValue]]


@dataclass(frozen=True, slots=True)
class Executable:
    """A tool as the model sees it, and what runs it."""

    tool: Tool
    run: Run


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came of a call: a value, or what the model is told instead."""

    value: JsonValue = None
    error: str | None = None

    @property
    def text(self) -> str:
        """As the model reads it."""
        if self.error is not None:
            return f"Error: {self.error}"
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)
        left_out = len(text) - MAX_RESULT_CHARS
        return text if left_out <= 0 else f"{text[:MAX_RESULT_CHARS]}\n[{left_out} more characters are left out]"


class Toolbox:
    """The tools of one agent step, by name."""

    def __init__(self, tools: Mapping[str, Executable]) -> None:
        self._tools = tools

    @property
    def offered(self) -> tuple[Tool, ...]:
        """As the model is told of them."""
        return tuple(entry.tool for entry in self._tools.values())

    async def call(self, call: ToolCall) -> ToolAnswer:
        """Execute one call. Never raises for what a tool does wrong; a budget that is used up ends the step."""
        entry = self._tools.get(call.name)
        if entry is None:
            return ToolAnswer(error=f"there is no tool {call.name!r}; there are: {', '.join(self._tools) or 'none'}")
        try:
            given = arguments_of(call)
        except ValueError as error:
            return ToolAnswer(error=str(error))
        problem = _problem(given, entry.tool.parameters)
        if problem is not None:
            return ToolAnswer(error=f"the arguments do not fit the tool's schema: {problem}")
        try:
            return ToolAnswer(value=await entry.run(given))
        except ValidationError as error:
            return ToolAnswer(error=f"the call cannot be made: {error.errors(include_input=False)[0]['msg']}")
        except (NodeError, BridgeError) as error:
            if getattr(error, "error_class", "") == "budget":
                raise
            return ToolAnswer(error=f"{getattr(error, 'error_class', 'error')}: {error}")


def _problem(given: JsonObject, parameters: JsonObject) -> str | None:
    try:
        return schema_problem(given, parameters)
    except UnsupportedFeatureError:  # the tool's own schema is broken: the tool will say what it wants
        return None


def arguments_of(call: ToolCall) -> JsonObject:
    """The arguments as a map. ValueError when the model wrote none."""
    try:
        value = cast("JsonValue", json.loads(call.arguments or "{}"))
    except (ValueError, RecursionError):
        raise ValueError(f"the arguments are no JSON: {call.arguments[:200]}") from None
    if not isinstance(value, Mapping):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004  # a fault of the text, as above
    return value


async def open_toolbox(blocks: list[AgentTool], context: NodeContext, stack: AsyncExitStack) -> Toolbox:
    """The tools ready to be called; sessions with MCP servers live as long as `stack`.

    Raises:
        InvalidInputError: Two tools share a name, or there are too many.
        NodeError: An MCP server cannot be reached.
    """
    found: list[Executable] = []
    for block in blocks:
        if block.http is not None:
            found.append(_http_tool(block, block.http, context))
        elif block.flow is not None:
            found.append(await _flow_tool(block, block.flow, context))
        elif block.mcp is not None:
            session = await stack.enter_async_context(mcp_session(block.mcp, named_server(context.outside, block.mcp)))
            found += await _mcp_tools(block, session)
    names = [entry.tool.name for entry in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"agent: two tools are named {twice!r}")
    told = sum(len(e.tool.name) + len(e.tool.description) + len(json.dumps(e.tool.parameters)) for e in found)
    if len(found) > MAX_TOOLS or told > MAX_TOOLS_BYTES:
        raise InvalidInputError(f"agent: at most {MAX_TOOLS} tools, described in {MAX_TOOLS_BYTES} bytes; use `only`")
    return Toolbox({entry.tool.name: entry for entry in found})


def _http_tool(block: AgentTool, http: HttpTool, context: NodeContext) -> Executable:
    parameters: JsonObject = block.parameters or NOTHING

    async def run(given: JsonObject) -> JsonValue:
        place = "query" if http.method in {"GET", "DELETE"} else "json"
        request = HttpNode.model_validate(
            {"url": http.url, "method": http.method, "headers": http.headers, place: dict(given)}
        )
        answer = await request.run(context)
        return answer.text if answer.json_value is None else cast("JsonValue", answer.json_value)

    return Executable(Tool(name=block.name or "", description=block.description, parameters=parameters), run)


async def _flow_tool(block: AgentTool, ref: str, context: NodeContext) -> Executable:
    flows = context.flows
    if flows is None:
        raise NodeError(f"agent: {ref} cannot be run here: there are no flows", error_class="invalid_request")
    facts = await flows.known(ref)
    name = block.name or ref.partition("@")[0].replace("-", "_")

    async def run(given: JsonObject) -> JsonValue:
        end = await flows.run(ref, given, name=name.replace("-", "_"))
        known, cost = context.facts.inner_cost_nano_usd, end.cost_nano_usd
        context.facts.inner_cost_nano_usd = None if known is None or cost is None else known + cost
        if end.error is not None:
            raise end.error
        return end.outputs

    description = block.description or facts.description
    return Executable(Tool(name=name, description=description[:2_000], parameters=facts.inputs_schema), run)


async def _mcp_tools(block: AgentTool, session: McpSession) -> list[Executable]:
    tools = await session.tools()
    missing = sorted(set(block.only) - tools.keys())
    if missing:
        raise InvalidInputError(f"agent: the MCP server {block.mcp} has no tool {missing[0]!r}")

    def executable(name: str) -> Executable:
        tool = tools[name]

        async def run(given: JsonObject) -> JsonValue:
            return (await session.call(name, given)).result

        return Executable(Tool(name=name, description=tool.description[:2_000], parameters=tool.parameters), run)

    return [executable(name) for name in (block.only or tools)]
