"""What a job loaded: its main model, for habits of the week."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("jobs", sa.Column("model", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "jobs", sa.Column("model_bytes", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("jobs", sa.Column("load_seconds", sa.Float(), nullable=False, server_default="0"))


def downgrade():
    op.drop_column("jobs", "load_seconds")
    op.drop_column("jobs", "model_bytes")
    op.drop_column("jobs", "model")
