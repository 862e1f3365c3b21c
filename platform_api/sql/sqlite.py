"""Statements on a SQLite file of the operator's, on a thread, stopped when their time is over."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bridge.json_types import JsonValue
from nodes.errors import NodeError
from nodes.outside import SqlQuery, SqlRows
from nodes.sql_params import bound
from platform_api.sql.values import RowCollector

STEPS_BETWEEN_LOOKS = 10_000
_REFUSED = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_TRANSACTION})
_REFUSED_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit"})


async def run_on_sqlite(path: Path, query: SqlQuery) -> SqlRows:
    """Run the statement. No other file can be reached from it. Raises NodeError."""
    until = time.monotonic() + query.timeout_s
    return await asyncio.to_thread(_run, path, query, until)


def _run(path: Path, query: SqlQuery, until: float) -> SqlRows:
    text, values = bound(query.text, query.params, lambda n: f"?{n}")
    mode = "rw" if query.may_write else "ro"
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, timeout=query.timeout_s, isolation_level=None
        )
    except sqlite3.Error as error:
        raise NodeError(f"sql: the database cannot be opened: {error}", error_class="unavailable") from error
    with closing(connection):
        try:
            return _ran(connection, query, text, [_bindable(value) for value in values], until)
        except sqlite3.Error as error:
            raise _failure(error, query, until) from error


def _ran(connection: sqlite3.Connection, query: SqlQuery, text: str, values: Sequence[object], until: float) -> SqlRows:
    connection.execute(f"PRAGMA query_only = {'OFF' if query.may_write else 'ON'}")
    connection.execute("BEGIN IMMEDIATE" if query.may_write else "BEGIN")
    connection.set_authorizer(_authorize)
    connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
    try:
        cursor = connection.execute(text, values)
        collector = RowCollector([c[0] for c in cursor.description or ()], max_rows=query.max_rows)
        for row in cursor:
            collector.add(row)
    finally:
        is_whole = connection.in_transaction
        connection.set_authorizer(None)
    if query.may_write and is_whole:
        connection.execute("COMMIT")
    return SqlRows(collector.rows, len(collector.rows) if cursor.description else max(cursor.rowcount, 0))


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    del first
    if action in _REFUSED or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _bindable(value: JsonValue) -> object:
    """Maps and lists as JSON text; all else as it is."""
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return json.dumps(value, ensure_ascii=False)
    return value


def _failure(error: sqlite3.Error, query: SqlQuery, until: float) -> NodeError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_INTERRUPT") or (name.startswith("SQLITE_BUSY") and time.monotonic() > until):
        return NodeError(f"sql: not done within {query.timeout_s:g} s", error_class="timeout")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN")):
        return NodeError(f"sql: {error}", error_class="unavailable")
    if name.startswith("SQLITE_READONLY"):
        return NodeError("sql: the step may only read; say `write: true`", error_class="invalid_request")
    if name.startswith("SQLITE_AUTH"):
        return NodeError(
            "sql: the statement is not allowed: no PRAGMA, ATTACH or COMMIT", error_class="invalid_request"
        )
    return NodeError(f"sql: {error}", error_class="invalid_request")
