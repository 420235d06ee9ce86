"""Rules that are looked at: states, groups, messages; what alerts are told with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ADDED = (
    ("severity", sa.Text(), "warning"),
    ("group_name", sa.Text(), ""),
    ("began_ms", sa.BigInteger(), "0"),
    ("worst", sa.Float(), "0"),
    ("muted", sa.Text(), ""),
)
_TABLES = ("alert_messages", "alert_groups", "alert_rules", "alert_states")


def upgrade():
    for name, kind, default in _ADDED:
        op.add_column("alerts", sa.Column(name, kind, nullable=False, server_default=default))
    op.create_index("ix_alerts_user_name_since_ms", "alerts", ["user_name", "since_ms"])
    firing = sa.text("ended_ms IS NULL")
    op.create_index(
        "ix_alerts_firing", "alerts", ["rule"], sqlite_where=firing, postgresql_where=firing
    )
    long = sa.text("seconds >= 1")
    op.create_index(
        "ix_node_runs_long", "node_runs", ["started_ms"], sqlite_where=long, postgresql_where=long
    )
    op.create_table(
        "alert_states",
        *(_key(name) for name in ("rule", "subject", "user_name")),
        sa.Column("phase", sa.Text(), nullable=False),
        *(_number(name) for name in ("since_ms", "fired_ms", "true_ms")),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("worst", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "subject", "user_name", name="pk_alert_states"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alert_rules",
        _key("rule"),
        _number("at_ms"),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("seen", "pending", "firing")),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule", name="pk_alert_rules"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alert_groups",
        _key("receiver"),
        _key("name"),
        _number("since_ms"),
        _number("told_ms"),
        sa.Column("told", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("receiver", "name", name="pk_alert_groups"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alert_messages",
        _key("id"),
        sa.Column("receiver", sa.Text(), nullable=False),
        _number("made_ms"),
        _number("next_ms"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("result", "error", "body")),
        sa.PrimaryKeyConstraint("id", name="pk_alert_messages"),
    )
    op.create_index("ix_alert_messages_done_ms_next_ms", "alert_messages", ["done_ms", "next_ms"])
    op.create_index("ix_alert_messages_made_ms", "alert_messages", ["made_ms"])


def _key(name):
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name):
    return sa.Column(name, sa.BigInteger(), nullable=False)


def downgrade():
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("ix_node_runs_long", "node_runs")
    op.drop_index("ix_alerts_firing", "alerts")
    op.drop_index("ix_alerts_user_name_since_ms", "alerts")
    for name, _, _ in reversed(_ADDED):
        op.drop_column("alerts", name)
