"""Waits of jobs without their bodies, and what would have been."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index(
        "ix_jobs_waits",
        "jobs",
        [
            "ended_ms",
            "user_name",
            "group_name",
            "fingerprint",
            "gpu",
            "submitted_ms",
            "admitted_ms",
        ],
        unique=False,
    )
    op.create_table(
        "what_ifs",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("by_user", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_what_ifs")),
    )
    op.create_index(op.f("ix_what_ifs_asked_ms"), "what_ifs", ["asked_ms"], unique=False)


def downgrade():
    op.drop_table("what_ifs")
    op.drop_index("ix_jobs_waits", table_name="jobs")
