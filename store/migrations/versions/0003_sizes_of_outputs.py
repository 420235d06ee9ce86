"""How large an output is, for quotas, and when a copy of it was delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("files", sa.Column("size_bytes", sa.BigInteger()))
    op.add_column("files", sa.Column("delivered_ms", sa.BigInteger()))
    op.create_index("ix_files_job_id", "files", ["job_id"])


def downgrade():
    op.drop_index("ix_files_job_id", "files")
    op.drop_column("files", "delivered_ms")
    op.drop_column("files", "size_bytes")
