"""Node runs of a span are counted and paged through one index, without their rows."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    columns = ["started_ms", "job_id", "attempt", "node", "seconds", "cached", "user_name"]
    op.create_index("ix_node_runs_span", "node_runs", columns, unique=False)
    op.drop_index(op.f("ix_node_runs_started_ms"), table_name="node_runs")


def downgrade():
    op.create_index(op.f("ix_node_runs_started_ms"), "node_runs", ["started_ms"], unique=False)
    op.drop_index("ix_node_runs_span", table_name="node_runs")
