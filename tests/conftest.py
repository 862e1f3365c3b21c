"""Fixtures every test may ask for: real servers, shared by the session, and a fresh database each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.peers import PostgresPeer, running_mcp_server, running_postgres, running_redis


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--split-bytes SEED`: where recorded streams are cut."""
    parser.addoption("--split-bytes", type=int, default=1, metavar="SEED", help="cut recorded streams elsewhere")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresPeer]:
    """The session's PostgreSQL."""
    with running_postgres() as peer:
        yield peer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The session's Redis 6.2; a test uses keys of its own."""
    with running_redis() as url:
        yield url


@pytest.fixture(scope="session")
def mcp_url() -> Iterator[str]:
    """The session's MCP server, by streamable HTTP."""
    with running_mcp_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresPeer) -> str:
    """The name of a database with all migrations applied, to clone from."""
    from platform_api.migrations.runner import upgrade

    return postgres.make_template("migrated", upgrade)


@pytest.fixture
def postgres_url(postgres: PostgresPeer, migrated_template: str) -> str:
    """A fresh, migrated PostgreSQL database, as the role `app`."""
    return postgres.create(migrated_template)


@pytest.fixture
def empty_postgres_url(postgres: PostgresPeer) -> str:
    """A fresh, empty PostgreSQL database, as its owner."""
    return postgres.create().replace("//app@", "//owner@")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all migrations applied, to copy."""
    from platform_api.migrations.runner import upgrade

    path = tmp_path_factory.mktemp("migrated") / "modelbridge.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database in a file."""
    path = tmp_path / "modelbridge.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite+aiosqlite:///{path}"
