"""Tables of what was measured and added up; ``docs/decisions/0030`` says why they look so.

Tables that are read by their key only have no row ids in SQLite: their rows lie in the order of
the key, so that a job's nodes or an hour's samples are read in one go.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, text

from store.tables import Words, metadata


def _number(name: str) -> Column[int]:
    """Bytes, milliseconds or microseconds that are always known."""
    return Column(name, BigInteger, nullable=False)


def _key(name: str, kind: Any = Words) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


# ── what probes told ─────────────────────────────────────────────────────────

#: One row for each node of an attempt, its calls summed up.
node_runs: Final = Table(
    "node_runs",
    metadata,
    _key("job_id"),
    _key("attempt", Integer),
    _key("node"),
    Column("user_name", Words, nullable=False),
    # node of the posted graph, where this one was expanded from it; else ""
    Column("display", Words, nullable=False),
    Column("class_type", Words, nullable=False),
    _number("started_ms"),
    Column("seconds", Float, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("cached", Boolean, nullable=False),
    # success, failure
    Column("result", Words, nullable=False),
    # type of the exception
    Column("error", Words),
    # torch's allocated bytes; NULL: not measured
    Column("before_bytes", BigInteger),
    Column("after_bytes", BigInteger),
    Column("peak_bytes", BigInteger),
    Column("out_bytes", BigInteger),
    # JSON object ``{"inputs", "outputs"}``: shapes, redacted scalars
    Column("shapes", Words),
    # cpu, tiled
    Column("fallback", Words),
    # id of a preview that the probe has taken
    Column("capture", Words),
    # in the order in which ``store.recordings`` pages, with all that it counts
    Index(
        "ix_node_runs_span",
        *("started_ms", "job_id", "attempt", "node"),
        *("seconds", "cached", "user_name"),
    ),
    sqlite_with_rowid=False,
)
#: Runs that took long, for whoever looks for slow ones. The index has the same words.
LONG_RUN: Final = text("seconds >= 1")
Index(
    "ix_node_runs_long",
    node_runs.c.started_ms,
    sqlite_where=LONG_RUN,
    postgresql_where=LONG_RUN,
)

#: One row for each attempt that a probe has seen.
prompt_runs: Final = Table(
    "prompt_runs",
    metadata,
    _key("job_id"),
    _key("attempt", Integer),
    Column("user_name", Words, nullable=False),
    Column("worker", Words, nullable=False),
    Column("gpu", Words, nullable=False),
    _number("started_ms"),
    Column("seconds", Float, nullable=False),
    # success, error, interrupted
    Column("result", Words, nullable=False),
    Column("nodes", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("peak_allocated", BigInteger),
    Column("peak_reserved", BigInteger),
    Column("allocated_before", BigInteger),
    Column("allocated_after", BigInteger),
    Column("reserved_before", BigInteger),
    Column("reserved_after", BigInteger),
    # device footprint that the process was kept within
    Column("limit_bytes", BigInteger),
    Column("loads", Integer, nullable=False),
    Column("load_seconds", Float, nullable=False),
    # nodes ran side by side: their peaks are not theirs alone
    Column("overlap", Boolean, nullable=False),
    # JSON object class → bytes of outputs that stayed in the cache
    Column("retained", Words),
    Index(None, "started_ms"),
    sqlite_with_rowid=False,
)

#: Models that came to a device or left it.
model_moves: Final = Table(
    "model_moves",
    metadata,
    _key("worker"),
    _key("boot"),
    _key("seq", BigInteger),
    _number("at_ms"),
    # "": within nobody's job
    Column("job_id", Words, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("user_name", Words, nullable=False),
    Column("node", Words, nullable=False),
    # load, unload
    Column("what", Words, nullable=False),
    Column("model", Words, nullable=False),
    _number("bytes"),
    # less than ``bytes``: a part stayed in host memory
    _number("loaded_bytes"),
    Column("seconds", Float, nullable=False),
    Index(None, "job_id"),
    Index(None, "at_ms"),
    sqlite_with_rowid=False,
)

#: A worker's memory curve, in pieces of about a second.
curves: Final = Table(
    "curves",
    metadata,
    _key("worker"),
    _key("at_ms", BigInteger),
    # JSON list of [ms after at_ms, allocated, reserved, device_free]
    Column("points", Words, nullable=False),
    sqlite_with_rowid=False,
)

#: Stretches that something measured and the store does not have: never drawn as zeros.
gaps: Final = Table(
    "gaps",
    metadata,
    # whose figures are missing: ``worker:<id>``
    _key("subject"),
    _key("until_ms", BigInteger),
    # records that were dropped
    _number("lost"),
    Column("why", Words, nullable=False),
    sqlite_with_rowid=False,
)

# ── samples: rows of step_s seconds each ─────────────────────────────────────

#: A GPU's memory and load; means over the step but where a name says otherwise.
gpu_samples: Final = Table(
    "gpu_samples",
    metadata,
    _key("step_s", Integer),
    _key("at_ms", BigInteger),
    _key("gpu"),
    _number("total_bytes"),
    _number("foreign_bytes"),
    _number("resident_bytes"),
    _number("reserved_bytes"),
    _number("free_bytes"),
    _number("least_free_bytes"),
    # 0…1; NULL: not told
    Column("utilisation", Float),
    # highest, °C
    Column("temperature", Integer),
    Column("power_mw", BigInteger),
    # readings that it is made of
    Column("readings", Integer, nullable=False),
    # JSON list of [worker, user of its job or "", bytes held]
    Column("holders", Words, nullable=False),
    sqlite_with_rowid=False,
)

#: How much waited and ran.
pool_samples: Final = Table(
    "pool_samples",
    metadata,
    _key("step_s", Integer),
    _key("at_ms", BigInteger),
    Column("queued", Float, nullable=False),
    Column("running", Float, nullable=False),
    # users with a queued job
    Column("waiting_users", Float, nullable=False),
    Column("most_queued", Integer, nullable=False),
    Column("most_running", Integer, nullable=False),
    # the longest that a job which still waits has waited
    _number("longest_wait_ms"),
    Column("readings", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: What kept whose jobs waiting.
waits: Final = Table(
    "waits",
    metadata,
    _key("step_s", Integer),
    _key("at_ms", BigInteger),
    _key("user_name"),
    _key("reason"),
    # ``gpu:<id>``, ``worker:<id>``, ``user:<name>`` (whose job is in the way), "": none
    _key("blocker"),
    # time that jobs waited within the step, summed up over the jobs
    _number("job_ms"),
    sqlite_with_rowid=False,
)

# ── sums ─────────────────────────────────────────────────────────────────────

#: Who used what in an hour. Integers, so that sums are the same however they are added up.
usage: Final = Table(
    "usage",
    metadata,
    _key("hour_ms", BigInteger),
    # "": on no GPU
    _key("gpu"),
    _key("user_name"),
    _key("group_name"),
    _key("fingerprint"),
    _key("model"),
    # wall time ÷ jobs that ran on the GPU, µs
    _number("gpu_us"),
    # reservation × time
    _number("byte_ms"),
    # the ledger's cost of attempts that ended in the hour, without weights, µs of a whole GPU
    _number("cost_us"),
    _number("energy_mj"),
    # jobs that ended in the hour, of which failed; and how long those jobs waited to be admitted
    _number("jobs"),
    _number("failed"),
    _number("wait_ms"),
    sqlite_with_rowid=False,
)

#: What nodes of a class took in an hour, by workflow and in all.
node_hours: Final = Table(
    "node_hours",
    metadata,
    # "": of all workflows
    _key("fingerprint"),
    _key("hour_ms", BigInteger),
    _key("class_type"),
    # runs that were not cached
    _number("runs"),
    _number("cached"),
    _number("failures"),
    _number("fallbacks"),
    Column("seconds", Float, nullable=False),
    Column("longest", Float, nullable=False),
    _number("peak_bytes"),
    sqlite_with_rowid=False,
)

#: Counts that only grow, for metrics.
tallies: Final = Table(
    "tallies",
    metadata,
    _key("name"),
    # JSON list of the labels' values
    _key("labels"),
    _number("value"),
    sqlite_with_rowid=False,
)

#: How far regular work has come.
marks: Final = Table(
    "marks",
    metadata,
    _key("name"),
    _number("at_ms"),
    sqlite_with_rowid=False,
)

# ── what somebody should know, and who did what ──────────────────────────────

alerts: Final = Table(
    "alerts",
    metadata,
    _key("id"),
    Column("rule", Words, nullable=False),
    # what it is about, for example ``gpu:<id>`` or ``job:<id>``
    Column("subject", Words, nullable=False),
    # "": nobody's in particular
    Column("user_name", Words, nullable=False),
    # when it fired; it had been true since ``began_ms``
    _number("since_ms"),
    # NULL: it still holds
    Column("ended_ms", BigInteger),
    # the last one that was over the threshold
    Column("value", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    # JSON object, shown with it
    Column("detail", Words, nullable=False),
    # info, warning, critical
    Column("severity", Words, nullable=False, server_default="warning"),
    Column("group_name", Words, nullable=False, server_default=""),
    Column("began_ms", BigInteger, nullable=False, server_default="0"),
    # farthest over the threshold
    Column("worst", Float, nullable=False, server_default="0"),
    # why nobody is told: ``silence:<id>``, ``behind:<rule>``; "": somebody is
    Column("muted", Words, nullable=False, server_default=""),
    Index(None, "since_ms"),
    Index(None, "user_name", "since_ms"),
)
Index(
    "ix_alerts_firing",
    alerts.c.rule,
    sqlite_where=alerts.c.ended_ms.is_(None),
    postgresql_where=alerts.c.ended_ms.is_(None),
)

silences: Final = Table(
    "silences",
    metadata,
    _key("id"),
    # patterns
    Column("rule", Words, nullable=False),
    Column("subject", Words, nullable=False),
    _number("from_ms"),
    _number("until_ms"),
    Column("by_user", Words, nullable=False),
    Column("why", Words, nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    _key("id"),
    _number("at_ms"),
    Column("by_user", Words, nullable=False),
    Column("action", Words, nullable=False),
    # what it was done to, for example ``user:<name>``
    Column("subject", Words, nullable=False),
    # JSON object
    Column("detail", Words, nullable=False),
    Index(None, "at_ms"),
)

# ── what would have been ─────────────────────────────────────────────────────

#: A recorded time, run once more in simulated time with something changed.
what_ifs: Final = Table(
    "what_ifs",
    metadata,
    _key("id"),
    _number("asked_ms"),
    Column("by_user", Words, nullable=False),
    _number("from_ms"),
    _number("until_ms"),
    # JSON object: what is changed, as it was asked for
    Column("change", Words, nullable=False),
    # JSON object: limits, weights and the scheduler's numbers that were in force
    Column("rules", Words, nullable=False),
    # waiting, running, done, failed
    Column("state", Words, nullable=False),
    # when it began to run, when it ended
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    # JSON object; NULL: not done
    Column("result", Words),
    # why it failed
    Column("problem", Words),
    Index(None, "asked_ms"),
)
