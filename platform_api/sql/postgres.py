"""Statements on PostgreSQL: one connection and one transaction a statement, by the extended protocol, which refuses
more than one.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import asyncpg

from nodes.errors import InvalidInputError, NodeError
from nodes.outside import SqlQuery, SqlRows
from nodes.sql_params import bound
from platform_api.sql.values import RowCollector

ROWS_AT_ONCE = 200
_AS_TEXT = ("date", "time", "timetz", "interval", "numeric", "uuid")
_MOMENTS = ("timestamp", "timestamptz")
_JSON = ("json", "jsonb")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect, and as whom. `address` is what is connected to: an IP address that was checked, or a folder
    with a socket.
    """

    address: str
    port: int
    user: str | None
    password: str | None
    database: str | None
    ssl: str | ssl.SSLContext


async def run_on_postgres(server: Server, query: SqlQuery) -> SqlRows:
    """Run the statement. Raises NodeError."""
    text, values = bound(query.text, query.params, lambda n: f"${n}")
    try:
        async with asyncio.timeout(query.timeout_s):
            connection = await _connected(server, query)
            try:
                return await _ran(connection, query, text, values)
            finally:
                connection.terminate()
    except TimeoutError as error:
        raise NodeError(f"sql: not done within {query.timeout_s:g} s", error_class="timeout") from error
    except asyncpg.PostgresError as error:
        raise _failure(error, query) from error
    except asyncpg.InterfaceError as error:  # a value that does not fit its parameter; its text shows the value
        raise InvalidInputError(f"sql: {str(error)[:300]}") from error
    except OSError as error:
        raise NodeError(f"sql: no connection: {error}", error_class="unavailable") from error


async def _connected(server: Server, query: SqlQuery) -> Any:  # asyncpg's connections are generic over their records
    connection: Any = await cast("Any", asyncpg).connect(
        host=server.address,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
        ssl=server.ssl,
        timeout=query.timeout_s,
        statement_cache_size=0,
        server_settings={
            "application_name": "modelbridge flow",
            "statement_timeout": str(max(1, int(query.timeout_s * 1000))),
            "timezone": "UTC",
            "datestyle": "ISO, YMD",
            "intervalstyle": "iso_8601",
        },
    )
    for name in _AS_TEXT:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")
    for name in _MOMENTS:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=_moment, format="text")
    for name in _JSON:
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_json_text, decoder=json.loads, format="text"
        )
    return connection


async def _ran(connection: Any, query: SqlQuery, text: str, values: list[Any]) -> SqlRows:
    transaction = connection.transaction(readonly=not query.may_write)
    await transaction.start()
    statement = await connection.prepare(text)
    columns: list[str] = [attribute.name for attribute in statement.get_attributes()]
    collector = RowCollector(columns, max_rows=query.max_rows)
    if columns:
        cursor = await statement.cursor(*_fitting(values))
        while batch := await cursor.fetch(ROWS_AT_ONCE):
            for row in batch:
                collector.add(tuple(row))
        count = len(collector.rows)
    else:
        await statement.fetch(*_fitting(values))
        count = _changed(statement.get_statusmsg())
    if query.may_write:
        await transaction.commit()
    return SqlRows(collector.rows, count)


def _fitting(values: list[Any]) -> list[Any]:
    return [_json_text(value) if isinstance(value, dict | list) else value for value in values]


def _json_text(value: Any) -> str:  # a value for a JSON column; text is taken for JSON already
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> str:
    """`2026-01-02 03:04:05.6+00` as ISO 8601."""
    if text.startswith(("infinity", "-infinity")):
        return text
    moment = text.replace(" ", "T", 1)
    return f"{moment}:00" if moment[-3:-2] in "+-" and "T" in moment else moment


def _changed(status: str) -> int:
    """`UPDATE 3` is 3; statements that count nothing are 0."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _failure(error: asyncpg.PostgresError, query: SqlQuery) -> NodeError:
    code = str(getattr(error, "sqlstate", "") or "")
    text = str(error)
    classes: Mapping[str, Any] = {"08": "unavailable", "28": "auth", "40": "unavailable", "53": "unavailable"}
    if code == "57014":
        return NodeError(f"sql: not done within {query.timeout_s:g} s", error_class="timeout")
    if code == "25006":
        return NodeError("sql: the step may only read; say `write: true`", error_class="invalid_request")
    if code.startswith("57P"):
        return NodeError(f"sql: {text}", error_class="unavailable")
    return NodeError(f"sql: {text}", error_class=classes.get(code[:2], "invalid_request"))
