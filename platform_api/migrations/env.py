"""Alembic's entry. The connection comes from `migrations/runner.py`, which holds the lock and owns the engine."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, text

from platform_api.database.columns import Id, UtcTime
from platform_api.database.schema import metadata

BYPASS = text("select set_config('app.bypass', 'on', false)")


def short_type(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:  # alembic's hook
    """Our column types by their own names in generated revisions."""
    names = {Id: "Id()", UtcTime: "UtcTime()", JSON: "JsonDocument"}
    for column_type, name in names.items():
        if kind == "type" and isinstance(item, column_type):
            autogenerate.imports.add(f"from platform_api.database.columns import {name.removesuffix('()')}")
            return name
    return False


def run() -> None:
    """Run the migrations on the connection that was handed in, each in a transaction of its own."""
    connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        connection.execute(BYPASS)
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata(),
        compare_type=True,
        render_item=short_type,
        include_object=context.config.attributes.get("include_object"),
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,  # SQLite too: our connections begin for real
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    if connection.dialect.name == "postgresql":
        connection.execute(text("reset app.bypass"))
        connection.commit()


run()
