"""Database URLs as people write them, turned into what SQLAlchemy's async drivers take."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url

_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+psycopg": "postgresql+asyncpg",
    "postgresql+psycopg2": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_DROPPED_QUERY = {"sslmode", "channel_binding", "application_name", "connect_timeout"}


class DatabaseUrlError(ValueError):
    """The address cannot be used; the text says what is taken instead."""


def async_url(address: str) -> URL:
    """The URL of the async driver. `sslmode` becomes asyncpg's `ssl`; `?host=/folder` means a unix socket."""
    try:
        url = make_url(address)
    except Exception as error:
        raise DatabaseUrlError("DATABASE_URL cannot be read; it looks like postgresql://user@host/name") from error
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise DatabaseUrlError(f"DATABASE_URL: {url.drivername!r} is not served; take postgresql:// or sqlite:///")
    url = url.set(drivername=driver)
    if not driver.startswith("postgresql"):
        if url.database in (None, "", ":memory:"):
            raise DatabaseUrlError("DATABASE_URL: SQLite in memory is not served; name a file: sqlite:///path.db")
        return url
    ssl_mode = url.query.get("sslmode")
    url = url.difference_update_query(_DROPPED_QUERY)
    if isinstance(ssl_mode, str):
        url = url.update_query_dict({"ssl": ssl_mode})
    return url


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file."""
    return f"sqlite+aiosqlite:///{path.absolute()}"


def is_sqlite(address: str | URL) -> bool:
    """Is it a SQLite address?"""
    return make_url(address).get_backend_name() == "sqlite"


def masked(address: str | URL) -> str:
    """The address with its password hidden, for messages."""
    return make_url(address).render_as_string(hide_password=True)
