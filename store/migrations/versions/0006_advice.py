"""Advice, whom it concerns, and who has dismissed it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "advice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("found_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("gain", sa.Float(), nullable=False),
        sa.Column("gain_low", sa.Float(), nullable=False),
        sa.Column("gain_high", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advice")),
    )
    op.create_index(op.f("ix_advice_ended_ms"), "advice", ["ended_ms"], unique=False)
    op.create_table(
        "advice_users",
        sa.Column("advice_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("advice_id", "user_name", name=op.f("pk_advice_users")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_advice_users_user_name"), "advice_users", ["user_name"], unique=False)
    op.create_table(
        "advice_dismissals",
        sa.Column("advice_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("by_user", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("gain", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("advice_id", "scope", name=op.f("pk_advice_dismissals")),
        sqlite_with_rowid=False,
    )
