"""The tables, in words that SQLite and PostgreSQL share.

Times are milliseconds since the epoch (of the Redis server's clock for jobs),
sizes are bytes. Changes go through a migration, never through here alone. ``history_schema`` has
the tables of what was measured and added up.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    text,
)

from store.tables import Words, metadata

#: Ended jobs, as the ledger last knew them.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Words, primary_key=True),
    Column("user_name", Words, nullable=False),
    Column("group_name", Words, nullable=False),
    Column("prompt_id", Words, nullable=False),
    Column("client_id", Words),
    Column("number", BigInteger, nullable=False),
    Column("state", Words, nullable=False),
    Column("reason", Words),
    Column("lane", Words, nullable=False),
    Column("fingerprint", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("ooms", Integer, nullable=False),
    Column("worker", Words, nullable=False),
    Column("gpu", Words, nullable=False),
    Column("needs_gpu", Boolean, nullable=False),
    Column("need_bytes", BigInteger, nullable=False),
    Column("need_seconds", Float, nullable=False),
    Column("run_seconds", Float, nullable=False),
    Column("reserved_bytes", BigInteger, nullable=False),
    Column("peak_bytes", BigInteger, nullable=False),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("admitted_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    # NULL: the body was gone from the ledger before it could be recorded
    Column("prompt", LargeBinary),
    # NULL: the job never ran, or its body was gone
    Column("result", LargeBinary),
    # main model, "": none, or recorded before this was kept; its size and the time to load, 0:
    # not known
    Column("model", Words, nullable=False, server_default=""),
    Column("model_bytes", BigInteger, nullable=False, server_default="0"),
    Column("load_seconds", Float, nullable=False, server_default="0"),
    Index(None, "user_name", "ended_ms"),
    Index(None, "user_name", "prompt_id"),
    Index(None, "ended_ms"),
    Index(None, "fingerprint", "ended_ms"),
    # all that ``store.waits`` reads: rows lie beside their bodies, which takes long to read
    Index(
        "ix_jobs_waits",
        *("ended_ms", "user_name", "group_name", "fingerprint", "gpu"),
        *("submitted_ms", "admitted_ms"),
    ),
)

#: Ran out of memory, or used at least 95 % of what it was promised. The index has the same words.
NEAR_MISS: Final = text(
    "(ooms > 0 OR (reserved_bytes > 0 AND peak_bytes * 20 >= reserved_bytes * 19))"
)
Index("ix_jobs_near_miss", jobs.c.ended_ms, sqlite_where=NEAR_MISS, postgresql_where=NEAR_MISS)

#: One row for each try. No foreign key to ``jobs``: a try is recorded before its job has ended.
attempts: Final = Table(
    "attempts",
    metadata,
    Column("job_id", Words, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("user_name", Words, nullable=False),
    Column("worker", Words),
    Column("gpu", Words),
    Column("admitted_ms", BigInteger),
    Column("claimed_ms", BigInteger),
    Column("ended_ms", BigInteger),
    # state of the job after the try: QUEUED means that it was to run again
    Column("state", Words),
    Column("reason", Words),
    # what it was promised
    Column("reserved_bytes", BigInteger),
    # what the ledger says it cost, without weights, µs of a whole GPU; NULL: it has not ended
    Column("cost_us", BigInteger),
    Index(None, "ended_ms"),
)

#: Which history entries a user has dropped; the jobs themselves stay for accounting.
hidden: Final = Table(
    "hidden",
    metadata,
    Column("user_name", Words, primary_key=True),
    # "": all of the user's
    Column("prompt_id", Words, primary_key=True),
    # jobs that ended later are shown again (a prompt_id may be used twice)
    Column("until_ms", BigInteger, nullable=False),
)

#: Outputs: the user's name for each, and where it lies.
files: Final = Table(
    "files",
    metadata,
    Column("user_name", Words, primary_key=True),
    Column("type", Words, primary_key=True),
    Column("subfolder", Words, primary_key=True),
    Column("filename", Words, primary_key=True),
    Column("agent", Words, nullable=False),
    Column("worker", Words, nullable=False),
    Column("worker_subfolder", Words, nullable=False),
    Column("worker_filename", Words, nullable=False),
    Column("job_id", Words, nullable=False),
    # None: not asked yet
    Column("size_bytes", BigInteger),
    # None: no copy was delivered
    Column("delivered_ms", BigInteger),
    Index(None, "job_id"),
)

#: Uploads: the user's name for each, and which bytes it means.
input_files: Final = Table(
    "input_files",
    metadata,
    Column("user_name", Words, primary_key=True),
    Column("type", Words, primary_key=True),
    Column("path", Words, primary_key=True),
    Column("sha256", Words, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("put_ms", BigInteger, nullable=False),
    Index(None, "sha256"),
)

#: One row for each setting, so that two tabs that change different ones do not collide.
user_settings: Final = Table(
    "user_settings",
    metadata,
    Column("user_name", Words, primary_key=True),
    Column("name", Words, primary_key=True),
    # JSON text
    Column("value", Words, nullable=False),
)

#: Userdata: workflows, stylesheets, whatever a client keeps there.
userdata: Final = Table(
    "userdata",
    metadata,
    Column("user_name", Words, primary_key=True),
    Column("path", Words, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
