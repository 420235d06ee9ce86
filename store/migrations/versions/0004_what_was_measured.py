"""What probes told, samples of GPUs, and what was used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_since_ms"), "alerts", ["since_ms"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by_user", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_ms"), "audit", ["at_ms"], unique=False)
    op.create_table(
        "curves",
        sa.Column("worker", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "at_ms", name=op.f("pk_curves")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gaps",
        sa.Column("subject", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("until_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "until_ms", name=op.f("pk_gaps")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gpu_samples",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gpu", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("foreign_bytes", sa.BigInteger(), nullable=False),
        sa.Column("resident_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reserved_bytes", sa.BigInteger(), nullable=False),
        sa.Column("free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("least_free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("utilisation", sa.Float(), nullable=True),
        sa.Column("temperature", sa.Integer(), nullable=True),
        sa.Column("power_mw", sa.BigInteger(), nullable=True),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("holders", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("step_s", "at_ms", "gpu", name=op.f("pk_gpu_samples")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_moves",
        sa.Column("worker", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("boot", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("loaded_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "boot", "seq", name=op.f("pk_model_moves")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_model_moves_at_ms"), "model_moves", ["at_ms"], unique=False)
    op.create_index(op.f("ix_model_moves_job_id"), "model_moves", ["job_id"], unique=False)
    op.create_table(
        "node_hours",
        sa.Column("fingerprint", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class_type", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("fallbacks", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("longest", sa.Float(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "hour_ms", "class_type", name=op.f("pk_node_hours")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_runs",
        sa.Column("job_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("node", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column("class_type", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("before_bytes", sa.BigInteger(), nullable=True),
        sa.Column("after_bytes", sa.BigInteger(), nullable=True),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("out_bytes", sa.BigInteger(), nullable=True),
        sa.Column("shapes", sa.Text(), nullable=True),
        sa.Column("fallback", sa.Text(), nullable=True),
        sa.Column("capture", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "attempt", "node", name=op.f("pk_node_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_node_runs_started_ms"), "node_runs", ["started_ms"], unique=False)
    op.create_table(
        "pool_samples",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("queued", sa.Float(), nullable=False),
        sa.Column("running", sa.Float(), nullable=False),
        sa.Column("waiting_users", sa.Float(), nullable=False),
        sa.Column("most_queued", sa.Integer(), nullable=False),
        sa.Column("most_running", sa.Integer(), nullable=False),
        sa.Column("longest_wait_ms", sa.BigInteger(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("step_s", "at_ms", name=op.f("pk_pool_samples")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "prompt_runs",
        sa.Column("job_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("gpu", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Integer(), nullable=False),
        sa.Column("peak_allocated", sa.BigInteger(), nullable=True),
        sa.Column("peak_reserved", sa.BigInteger(), nullable=True),
        sa.Column("allocated_before", sa.BigInteger(), nullable=True),
        sa.Column("allocated_after", sa.BigInteger(), nullable=True),
        sa.Column("reserved_before", sa.BigInteger(), nullable=True),
        sa.Column("reserved_after", sa.BigInteger(), nullable=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("loads", sa.Integer(), nullable=False),
        sa.Column("load_seconds", sa.Float(), nullable=False),
        sa.Column("overlap", sa.Boolean(), nullable=False),
        sa.Column("retained", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_prompt_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_prompt_runs_started_ms"), "prompt_runs", ["started_ms"], unique=False)
    op.create_table(
        "silences",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("by_user", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
    )
    op.create_table(
        "usage",
        sa.Column("hour_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gpu", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("group_name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("gpu_us", sa.BigInteger(), nullable=False),
        sa.Column("byte_ms", sa.BigInteger(), nullable=False),
        sa.Column("cost_us", sa.BigInteger(), nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("wait_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour_ms",
            "gpu",
            "user_name",
            "group_name",
            "fingerprint",
            "model",
            name=op.f("pk_usage"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "waits",
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("blocker", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("job_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "step_s", "at_ms", "user_name", "reason", "blocker", name=op.f("pk_waits")
        ),
        sqlite_with_rowid=False,
    )
    op.add_column("attempts", sa.Column("reserved_bytes", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("cost_us", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_attempts_ended_ms"), "attempts", ["ended_ms"], unique=False)
    op.create_index(
        op.f("ix_jobs_fingerprint_ended_ms"), "jobs", ["fingerprint", "ended_ms"], unique=False
    )
    near_miss = sa.text(
        "(ooms > 0 OR (reserved_bytes > 0 AND peak_bytes * 20 >= reserved_bytes * 19))"
    )
    op.create_index(
        "ix_jobs_near_miss",
        "jobs",
        ["ended_ms"],
        sqlite_where=near_miss,
        postgresql_where=near_miss,
    )


def downgrade():
    op.drop_index("ix_jobs_near_miss", "jobs")
    op.drop_index("ix_jobs_fingerprint_ended_ms", "jobs")
    op.drop_index("ix_attempts_ended_ms", "attempts")
    op.drop_column("attempts", "cost_us")
    op.drop_column("attempts", "reserved_bytes")
    op.drop_table("waits")
    op.drop_table("usage")
    op.drop_table("silences")
    op.drop_table("prompt_runs")
    op.drop_table("pool_samples")
    op.drop_table("node_runs")
    op.drop_table("node_hours")
    op.drop_table("model_moves")
    op.drop_table("marks")
    op.drop_table("gpu_samples")
    op.drop_table("gaps")
    op.drop_table("curves")
    op.drop_table("audit")
    op.drop_table("alerts")
