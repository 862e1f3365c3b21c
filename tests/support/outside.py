"""What the examples of nodes reach beyond the engine: real, small, on this machine."""

import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from nodes.channels import WebChannel
from nodes.context import HttpRules
from nodes.mcp_servers import McpServer
from nodes.outside import Outside, PythonRules
from platform_api.sql.connections import SqlConnections, named_database
from tests.support.http_server import http_server

PEOPLE = (("Ada", "1815-12-10", "Bern"), ("Grace", "1906-12-09", "Bern"), ("Alan", "1912-06-23", "London"))
TOOLS = McpServer(command=(sys.executable, "-m", "tests.support.mcp_server"), folder=str(Path(__file__).parents[2]))
"""An MCP server that is started for each session."""


@asynccontextmanager
async def outside_world(folder: Path, mcp_url: str) -> AsyncGenerator[Outside]:
    """Everything the examples name."""
    people(folder / "people.db")
    database = named_database("sqlite:///people.db", may_write=False, base=folder)
    async with http_server(lambda _: (204, {}, b"")) as receiver:
        yield Outside(
            python=PythonRules(allow_source=True, functions=frozenset({"statistics:fmean"})),
            databases=SqlConnections({"people": database}, HttpRules()),
            mcp_servers={"tools": McpServer(url=mcp_url)},
            channels={"ops": WebChannel("slack", receiver.url("/hook"))},
        )


def people(path: Path) -> None:
    """A database of three people."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE people (name TEXT, born TEXT, city TEXT)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", PEOPLE)
