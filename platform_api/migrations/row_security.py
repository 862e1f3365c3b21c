"""Row-level security of tenants' tables, for revisions. SQLite has none: sessions filter there."""

from collections.abc import Sequence

from alembic import op

POLICY = "own_rows"
_RULE = "org_id = nullif(current_setting('app.org', true), '')::uuid or current_setting('app.bypass', true) = 'on'"


def guard(tables: Sequence[str]) -> None:
    """Only rows of the transaction's tenant are seen and written, by the tables' owner too."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy {POLICY} on {table} using ({_RULE}) with check ({_RULE})")


def unguard(tables: Sequence[str]) -> None:
    """Take the rule away again."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f"drop policy {POLICY} on {table}")
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
