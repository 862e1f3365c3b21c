"""The mcp node against a real server of the official SDK, over both transports."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.json_types import JsonObject, JsonValue
from nodes.errors import NodeError
from nodes.mcp import McpNode, McpOutput
from nodes.mcp_servers import McpServer
from nodes.outside import Outside
from tests.support.fakes import node_context
from tests.support.outside import TOOLS

pytestmark = pytest.mark.peer


async def called(server: McpServer, tool: str, timeout: str = "60s", **args: JsonValue) -> McpOutput:  # noqa: ASYNC109  # a field of the block
    block: JsonObject = {"server": "tools", "tool": tool, "args": args, "timeout": timeout}
    context = node_context(outside=Outside(mcp_servers={"tools": server}))
    return await McpNode.model_validate(block).run(context)


async def failed(server: McpServer, tool: str, timeout: str = "60s", **args: JsonValue) -> tuple[str, str]:  # noqa: ASYNC109  # the same
    with pytest.raises(NodeError) as caught:
        await called(server, tool, timeout, **args)
    return caught.value.error_class, str(caught.value)


@pytest.fixture
def server(mcp_url: str) -> McpServer:
    """By HTTP, since it is there already; a program takes a second to start."""
    return McpServer(url=mcp_url)


async def test_a_tool_answers_structured_or_as_text_over_both_transports(server: McpServer) -> None:
    for one in (TOOLS, server):
        assert await called(one, "add", a=2, b=40) == McpOutput(result={"result": 42}, text="42")
    assert (await called(server, "greet", name="Ada")).text == "Hello Ada"


async def test_arguments_are_checked_by_the_tools_schema_and_tools_by_name(server: McpServer) -> None:
    wrong = await failed(server, "add", a="two", b=1)
    unknown = await failed(server, "nonesuch")

    assert wrong[0] == unknown[0] == "validation"
    assert "'two' is not of type 'integer'" in wrong[1]
    assert "it has: add, die, environment, greet, refuse, sleep" in unknown[1]


async def test_a_tool_that_fails_says_why(server: McpServer) -> None:
    error_class, message = await failed(server, "refuse")

    assert error_class == "user"
    assert "no such customer" in message


async def test_a_slow_tool_is_given_up_in_time(server: McpServer) -> None:
    began = time.monotonic()
    limit = "4s" if server.command else "1s"

    assert await failed(server, "sleep", limit, seconds=8) == (
        "timeout",
        f"mcp: no answer of tools within {limit[0]} s",
    )
    assert time.monotonic() - began < 30


async def test_a_server_that_dies_in_a_call_or_cannot_be_started_is_unavailable(tmp_path: Path) -> None:
    died = await failed(TOOLS, "die")
    absent = await failed(McpServer(command=(str(tmp_path / "none"),)), "add")
    mute = await failed(McpServer(command=("/bin/true",)), "add")
    refused = await failed(McpServer(url="http://127.0.0.1:9/mcp"), "add")

    assert [died[0], absent[0], mute[0], refused[0]] == ["unavailable"] * 4, (died, absent, mute, refused)


async def test_a_started_server_inherits_no_secrets_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "canary")

    given = (await called(replace(TOOLS, env={"OWN": "1"}), "environment")).result
    assert isinstance(given, dict)
    names = given["result"]
    assert isinstance(names, list)
    assert "OWN" in names
    assert "JWT_SECRET_KEY" not in names
    await asyncio.sleep(0)
    running = [path.read_bytes() for path in Path("/proc/self/task").glob("*/children")]
    pids = b" ".join(running).split()
    commands = [Path(f"/proc/{pid.decode()}/cmdline").read_bytes() for pid in pids]
    assert not any(b"mcp_server" in command and command.endswith(b"mcp_server\x00") for command in commands)


async def test_a_server_that_is_not_named_is_refused() -> None:
    block: JsonObject = {"server": "other", "tool": "add"}

    with pytest.raises(NodeError, match=r"no server 'other' under `mcp_servers` \(there are: none\)"):
        await McpNode.model_validate(block).run(node_context())
