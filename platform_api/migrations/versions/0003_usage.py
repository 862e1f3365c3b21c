"""Calls, ledger, budgets, journals.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, JsonDocument, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TENANT_TABLES = ("calls", "ledger", "budgets", "budget_windows", "budget_leases")


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "journal_writers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_writers")),
    )
    op.create_table(
        "budgets",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("scope_id", sa.String(length=200), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("limit_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_budgets_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint(
            "org_id", "kind", "scope_id", "period", name=op.f("uq_budgets_org_id_kind_scope_id_period")
        ),
    )
    op.create_index(op.f("ix_budgets_org_id"), "budgets", ["org_id"], unique=False)
    op.create_table(
        "calls",
        sa.Column("id", Id(), nullable=False),
        sa.Column("key_id", Id(), nullable=True),
        sa.Column("user_id", Id(), nullable=True),
        sa.Column("run_id", Id(), nullable=True),
        sa.Column("step_path", sa.String(length=512), nullable=True),
        sa.Column("flow", sa.String(length=63), nullable=True),
        sa.Column("task", sa.String(length=200), nullable=True),
        sa.Column("request_id", sa.String(length=100), nullable=True),
        sa.Column("requested", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=100), nullable=True),
        sa.Column("decision", JsonDocument, nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("cache", sa.String(length=8), nullable=False),
        sa.Column("is_stream", sa.Boolean(), nullable=False),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("re_asks", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_calls_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_org_id"), "calls", ["org_id"], unique=False)
    op.create_index("ix_calls_org_id_started_at", "calls", ["org_id", "started_at"], unique=False)
    op.create_index("ix_calls_run_id", "calls", ["run_id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("attempt_id", Id(), nullable=False),
        sa.Column("call_id", Id(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("deployment", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("finish_reason", sa.String(length=16), nullable=True),
        sa.Column("usage", JsonDocument, nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("price_row", sa.String(length=300), nullable=True),
        sa.Column("price_data_version", sa.String(length=100), nullable=True),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("provider_cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("duration_ms", sa.Double[float](), nullable=False),
        sa.Column("ttft_ms", sa.Double[float](), nullable=True),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("corrects", Id(), nullable=True),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_ledger_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_call_id", "ledger", ["call_id"], unique=False)
    op.create_index(op.f("ix_ledger_org_id"), "ledger", ["org_id"], unique=False)
    op.create_index("ix_ledger_org_id_at", "ledger", ["org_id", "at"], unique=False)
    op.create_table(
        "budget_leases",
        sa.Column("id", Id(), nullable=False),
        sa.Column("hold_id", Id(), nullable=False),
        sa.Column("budget_id", Id(), nullable=False),
        sa.Column("starts_at", UtcTime(), nullable=False),
        sa.Column("amount_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("scopes", JsonDocument, nullable=False),
        sa.Column("writer_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_budget_leases_budget_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_budget_leases_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_leases")),
    )
    op.create_index(op.f("ix_budget_leases_budget_id"), "budget_leases", ["budget_id"], unique=False)
    op.create_index(op.f("ix_budget_leases_org_id"), "budget_leases", ["org_id"], unique=False)
    op.create_index("ix_budget_leases_writer_id_expires_at", "budget_leases", ["writer_id", "expires_at"], unique=False)
    op.create_table(
        "budget_windows",
        sa.Column("budget_id", Id(), nullable=False),
        sa.Column("starts_at", UtcTime(), nullable=False),
        sa.Column("held_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("settled_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_budget_windows_budget_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_budget_windows_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("budget_id", "starts_at", name=op.f("pk_budget_windows")),
    )
    op.create_index(op.f("ix_budget_windows_org_id"), "budget_windows", ["org_id"], unique=False)
    guard(TENANT_TABLES)


def downgrade() -> None:
    """Go back."""
    unguard(TENANT_TABLES)
    op.drop_index(op.f("ix_budget_windows_org_id"), table_name="budget_windows")
    op.drop_table("budget_windows")
    op.drop_index("ix_budget_leases_writer_id_expires_at", table_name="budget_leases")
    op.drop_index(op.f("ix_budget_leases_org_id"), table_name="budget_leases")
    op.drop_index(op.f("ix_budget_leases_budget_id"), table_name="budget_leases")
    op.drop_table("budget_leases")
    op.drop_index("ix_ledger_org_id_at", table_name="ledger")
    op.drop_index(op.f("ix_ledger_org_id"), table_name="ledger")
    op.drop_index("ix_ledger_call_id", table_name="ledger")
    op.drop_table("ledger")
    op.drop_index("ix_calls_run_id", table_name="calls")
    op.drop_index("ix_calls_org_id_started_at", table_name="calls")
    op.drop_index(op.f("ix_calls_org_id"), table_name="calls")
    op.drop_table("calls")
    op.drop_index(op.f("ix_budgets_org_id"), table_name="budgets")
    op.drop_table("budgets")
    op.drop_table("journal_writers")
