"""Which database a step means: one that the operator named, or an address of the organisation's own."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nodes.context import HttpRules
from nodes.errors import NodeError, SealedNetworkError
from nodes.outside import SqlQuery, SqlRows
from nodes.ssrf import checked_destination
from platform_api.sql.postgres import Server, run_on_postgres
from platform_api.sql.sqlite import run_on_sqlite

SSL_MODES = ("disable", "prefer", "require", "verify-full")


@dataclass(frozen=True, slots=True)
class NamedDatabase:
    """One that the operator named. Its address is the operator's business: it passes no guard."""

    url: URL
    may_write: bool = False


class SqlConnections:
    """`nodes.outside.Databases` over asyncpg and sqlite3."""

    def __init__(self, named: Mapping[str, NamedDatabase], rules: HttpRules) -> None:
        self._named = named
        self._rules = rules

    async def run(self, query: SqlQuery) -> SqlRows:
        """Run the statement where it belongs. Raises NodeError."""
        if "://" in query.connection:
            return await run_on_postgres(await self._own_server(query.connection), query)
        named = self._named.get(query.connection)
        if named is None:
            known = ", ".join(sorted(self._named)) or "none"
            message = f"sql: there is no database {query.connection!r} under `databases` (there are: {known})"
            raise NodeError(message, error_class="invalid_request")
        if query.may_write and not named.may_write:
            message = f"sql: {query.connection} may only be read; the operator can say `write: true` there"
            raise NodeError(message, error_class="invalid_request")
        if named.url.get_backend_name() == "sqlite":
            return await run_on_sqlite(Path(named.url.database or ""), query)
        return await run_on_postgres(_operators_server(named.url), query)

    async def _own_server(self, address: str) -> Server:
        """A server on the public internet, or one that the operator opened; connected to by its checked address."""
        url = _parsed(address)
        if url.get_backend_name() not in {"postgresql", "postgres"} or "host" in url.query or not url.host:
            raise SealedNetworkError("sql: an own address is postgresql://user:password@host/name")
        port = url.port or 5432
        try:
            where = await checked_destination(url.host, port, self._rules)
        except NodeError as error:
            text = str(error).replace("http: ", "sql: ", 1)
            raise NodeError(text, error_class=error.error_class) from error
        mode = _ssl_mode(url, "require")
        if mode == "verify-full":  # the name is proven by its certificate, which the address alone could not be
            return _server(url, where.host, port, ssl.create_default_context())
        return _server(url, where.addresses[0], port, mode)


def named_database(url: str, *, may_write: bool, base: Path) -> NamedDatabase:
    """An entry of the configuration; a relative SQLite file lies below `base`. Raises ValueError."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError("a SQLite database is a file: sqlite:///path.db")
        parsed = parsed.set(database=str((base / parsed.database).resolve()))
    elif backend not in {"postgresql", "postgres"}:
        raise ValueError(f"{backend!r} is not served; take postgresql:// or sqlite:///")
    return NamedDatabase(parsed, may_write=may_write)


def _operators_server(url: URL) -> Server:
    folder = url.query.get("host")
    address = folder if isinstance(folder, str) else url.host or "localhost"
    return _server(url, address, url.port or 5432, "disable" if address.startswith("/") else _ssl_mode(url, "prefer"))


def _server(url: URL, address: str, port: int, mode: "str | ssl.SSLContext") -> Server:
    password = None if url.password is None else str(url.password)
    return Server(address, port, url.username, password, url.database, mode)


def _ssl_mode(url: URL, otherwise: str) -> str:
    mode = url.query.get("sslmode", otherwise)
    if mode not in SSL_MODES:
        raise NodeError(f"sql: sslmode is one of {', '.join(SSL_MODES)}", error_class="invalid_request")
    return str(mode)


def _parsed(address: str) -> URL:
    try:
        return make_url(address)
    except (ArgumentError, ValueError):
        raise NodeError("sql: the address of the database cannot be read", error_class="invalid_request") from None
