"""The sql node on real databases of both kinds."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject, JsonValue
from flows.validate import check
from nodes.context import HttpRules
from nodes.errors import NodeError
from nodes.outside import NoSecrets, Outside
from nodes.sql import SqlNode, SqlOutput
from platform_api.outside import outside_of
from platform_api.settings import SettingsError
from platform_api.sql.connections import SqlConnections, named_database
from tests.support.api import settings_for
from tests.support.conformance import EveryModel
from tests.support.fakes import node_context

pytestmark = pytest.mark.peer

SCHEMA = """
CREATE TABLE people (id integer PRIMARY KEY, name text, born date, balance numeric(20, 4), doc {json});
INSERT INTO people VALUES (1, 'Ada', '1815-12-10', 12345678901234.5678, '{{"a": [1, null]}}'),
                          (2, 'Grace', '1906-12-09', 0.1, NULL), (3, 'O''Hara', NULL, NULL, NULL);
"""
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n",
    "postgres": "SELECT pg_sleep(60)",
}


@dataclass
class Db:
    """A database with people in it, named `readable` and `writable`."""

    kind: str
    outside: Outside

    async def run(self, query: str, connection: str = "readable", **block: object) -> SqlOutput:
        given = cast("JsonObject", {"connection": connection, "query": query, "timeout": "20s", **block})
        return await SqlNode.model_validate(given).run(node_context(outside=self.outside))

    async def rows(self, query: str, **params: JsonValue) -> list[Mapping[str, JsonValue]]:
        return [dict(row) for row in (await self.run(query, params=params)).rows]

    async def failed(self, query: str, connection: str = "readable", **block: object) -> tuple[ErrorClass, str]:
        with pytest.raises(NodeError) as caught:
            await self.run(query, connection, **block)
        return caught.value.error_class, str(caught.value)


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return make_url(f"sqlite:///{tmp_path / 'people.db'}")
    return make_url(str(request.getfixturevalue("empty_postgres_url"))).set(drivername="postgresql")


@pytest.fixture
async def db(address: URL, tmp_path: Path) -> Db:
    kind = "sqlite" if address.drivername == "sqlite" else "postgres"
    if kind == "sqlite":
        with closing(sqlite3.connect(str(address.database))) as database, database:
            database.executescript(SCHEMA.format(json="text"))
    else:
        connection: Any = await cast("Any", asyncpg).connect(
            host=str(address.query["host"]), user=address.username, database=address.database
        )
        await connection.execute(SCHEMA.format(json="jsonb"))
        await connection.close()
    url = address.render_as_string(hide_password=False)
    named = {
        name: named_database(url, may_write=name == "writable", base=tmp_path) for name in ("readable", "writable")
    }
    return Db(kind, Outside(databases=SqlConnections(named, HttpRules())))


async def test_values_are_bound_and_a_hostile_one_is_only_a_value(db: Db) -> None:
    hostile = "x'; DROP TABLE people; --"
    found = await db.rows("SELECT name FROM people WHERE name = :n OR name = :h OR id IN :ids ORDER BY id",
                          n="O'Hara", h=hostile, ids=[1])  # fmt: skip

    assert found == [{"name": "Ada"}, {"name": "O'Hara"}]
    assert await db.rows("SELECT :n AS echo" if db.kind == "sqlite" else "SELECT :n::text AS echo", n=hostile) == [
        {"echo": hostile}
    ]
    assert (await db.run("SELECT count(*) AS n FROM people")).rows == [{"n": 3}]


async def test_types_become_json_without_losing_digits(db: Db) -> None:
    query = "SELECT name, born, balance, doc FROM people WHERE id <= :most ORDER BY id"
    first, second = (await db.rows(query, most=2))[:2]

    assert (first["name"], first["born"]) == ("Ada", "1815-12-10")
    assert (second["name"], second["born"], second["doc"]) == ("Grace", "1906-12-09", None)
    if db.kind == "postgres":
        assert (first["balance"], first["doc"]) == ("12345678901234.5678", {"a": [1, None]})
        odd = (
            "SELECT 'NaN'::float8 AS nan, '\\x0102'::bytea AS raw, ARRAY[1, 2] AS list, true AS yes, "
            "'2026-01-02 03:04:05.5+02'::timestamptz AS at, '2026-01-02 03:04'::timestamp AS local, "
            "'018f0000-0000-7000-8000-000000000000'::uuid AS id, 9007199254740993 AS big, interval '90 min' AS span"
        )
        assert await db.rows(odd) == [
            {
                "nan": None, "raw": "AQI=", "list": [1, 2], "yes": True, "at": "2026-01-02T01:04:05.5+00:00",
                "local": "2026-01-02T03:04:00", "id": "018f0000-0000-7000-8000-000000000000",
                "big": 9007199254740993, "span": "PT1H30M",
            }
        ]  # fmt: skip
    else:
        assert await db.rows("SELECT x'0102' AS raw, 9007199254740993 AS big, 1e999 AS inf") == [
            {"raw": "AQI=", "big": 9007199254740993, "inf": None}
        ]


async def test_texts_are_taken_for_dates_and_numbers_where_the_query_wants_them(db: Db) -> None:
    found = await db.rows("SELECT id FROM people WHERE born > :after AND balance < :most", after="1900-01-01", most=1)

    assert found == [{"id": 2}]


@pytest.mark.parametrize("write", [False, True])
async def test_nothing_is_changed_unless_the_step_and_the_operator_say_so(db: Db, write: bool) -> None:
    change = "UPDATE people SET name = 'gone'"

    refused = [await db.failed(change), await db.failed(change, "writable")]
    if write:
        refused.append(await db.failed(change, "readable", write=True))

    assert {error_class for error_class, _ in refused} == {"invalid_request"}
    assert "write: true" in refused[0][1]
    assert (await db.rows("SELECT count(*) AS n FROM people WHERE name = 'gone'")) == [{"n": 0}]


async def test_a_change_is_kept_where_it_is_allowed_and_tells_how_many_rows(db: Db) -> None:
    changed = await db.run("UPDATE people SET name = :n WHERE id > 1", "writable", params={"n": "X"}, write=True)
    returned = await db.run("DELETE FROM people WHERE id = 3 RETURNING id", "writable", write=True)

    assert (changed.rows, changed.count) == ([], 2)
    assert (returned.rows, returned.count) == ([{"id": 3}], 1)
    assert await db.rows("SELECT name FROM people ORDER BY id") == [{"name": "Ada"}, {"name": "X"}]


async def test_two_statements_in_one_are_refused_and_none_of_them_runs(db: Db) -> None:
    error_class, _ = await db.failed("SELECT 1; DELETE FROM people", "writable", write=True)
    also, _ = await db.failed("COMMIT; DELETE FROM people")

    assert (error_class, also) == ("invalid_request", "invalid_request")
    assert await db.rows("SELECT count(*) AS n FROM people") == [{"n": 3}]


async def test_too_many_rows_or_columns_of_one_name_fail_instead_of_being_cut(db: Db) -> None:
    many = await db.failed("SELECT id FROM people", max_rows=2)
    twice = await db.failed("SELECT id, name AS id FROM people")
    wide = await db.failed(
        "SELECT " + ("zeroblob(9000000)" if db.kind == "sqlite" else "repeat('x', 11000000)") + " AS x"
    )

    assert many == ("invalid_request", "sql: more than 2 rows; add LIMIT, or raise max_rows")
    assert "two columns are named 'id'" in twice[1]
    assert "bigger than" in wide[1]


async def test_a_statement_over_its_time_is_stopped(db: Db) -> None:
    assert await db.failed(ENDLESS[db.kind], timeout="300ms") == ("timeout", "sql: not done within 0.3 s")


async def test_a_mistake_in_the_statement_or_a_value_is_told(db: Db) -> None:
    error_class, message = await db.failed("SELECT nonesuch FROM people")

    assert error_class == "invalid_request"
    assert "nonesuch" in message
    assert await db.failed("SELECT 1", "unnamed") == (
        "invalid_request", "sql: there is no database 'unnamed' under `databases` (there are: readable, writable)"
    )  # fmt: skip
    if db.kind == "postgres":
        assert (await db.failed("SELECT * FROM people WHERE id = :id", params={"id": "one"}))[0] == "invalid_request"


async def test_no_other_file_can_be_reached_from_a_sqlite_statement(db: Db, tmp_path: Path) -> None:
    if db.kind == "postgres":
        assert (await db.failed("SELECT set_config('transaction_read_only', 'off', true)"))[0] == "invalid_request"
        return
    out = tmp_path / "out.db"
    for statement in (
        f"ATTACH '{out}' AS other",
        f"VACUUM INTO '{out}'",
        "PRAGMA query_only = OFF",
        "SELECT load_extension('x')",
        "COMMIT",
    ):
        assert (await db.failed(statement, "writable", write=True))[0] == "invalid_request", statement
        assert (await db.failed(statement))[0] == "invalid_request", statement
    assert not out.exists()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:canary-pw@127.0.0.1/db",
        "postgresql://u:canary-pw@[::ffff:10.0.0.1]/db",
        "postgresql://u:canary-pw@db.internal/db",
        "postgresql://u:canary-pw@169.254.169.254:80/db",
        "postgresql:///db?host=/tmp",
        "sqlite:////etc/passwd",
        "mysql://u:canary-pw@db.example/x",
    ],
)
async def test_an_address_of_a_tenants_own_is_a_public_server_or_nothing(address: str) -> None:
    outside = Outside(databases=SqlConnections({}, HttpRules()))
    node = SqlNode.model_validate({"connection": address, "query": "SELECT 1"})

    with pytest.raises(NodeError) as caught:
        await node.run(node_context(outside=outside))

    assert caught.value.error_class == "invalid_request"
    assert str(caught.value).startswith("sql: ")
    assert "canary-pw" not in str(caught.value)


def test_an_expression_in_the_query_is_a_mistake_of_the_flow() -> None:
    text = (
        "flow: f\nspec: 1\ninputs: {name: {type: string}}\nnodes:\n  a:\n    type: sql\n    with:\n"
        "      connection: ${{ secrets.DB_URL }}\n      query: SELECT '${{ inputs.name }}'\n"
    )
    found = [(d.code, d.line) for d in check(text, file="f.yaml", catalog=EveryModel()).diagnostics]

    assert ("expression_in_code", 9) in found
    assert not any(code.startswith("secret") for code, _ in found)


def test_the_operators_entries_are_read_and_a_bad_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "modelbridge.yaml"
    file.write_text("databases: {crm: {url: 'sqlite:///crm.db', write: true}}\n")
    settings = settings_for(f"sqlite:///{tmp_path}/m.db", tmp_path)
    assert outside_of(settings, NoSecrets()).databases is not None

    file.write_text("databases: {crm: {url: 'mysql://x:canary-pw@y/z'}}\n")
    with pytest.raises(SettingsError, match=r"databases\.crm\.url") as caught:
        outside_of(settings_for(f"sqlite:///{tmp_path}/m.db", tmp_path), NoSecrets())
    assert "canary-pw" not in str(caught.value)
