"""What InfluxDB is told: rows of the recorder as points. Pure.

The same row is the same point, series and time alike, so that two recorders, or a batch that is
sent twice, write nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

from dashboard.sinks.line_protocol import line

Row = Mapping[str, Any]
_MS: Final = 1_000_000
_OF_GPU: Final = (
    "total_bytes", "foreign_bytes", "resident_bytes", "reserved_bytes", "free_bytes",
)  # fmt: skip


def gpu_points(rows: Iterable[Row], pool: str, at_ms: int) -> Iterator[str]:
    """GPUs; rows of ``gpu_samples``, as of ``at_ms``."""
    for row in rows:
        fields = {name: row[name] for name in _OF_GPU}
        if row["utilisation"] is not None:
            fields["utilization_ratio"] = float(row["utilisation"])
        if row["temperature"] is not None:
            fields["temperature_celsius"] = float(row["temperature"])
        if row["power_mw"] is not None:
            fields["power_watts"] = row["power_mw"] / 1000
        tags = {"pool": pool, "gpu": row["gpu"]}
        yield from _one("vramgate_gpu", tags, fields, at_ms * _MS)


def queue_points(row: Row, pool: str, at_ms: int) -> Iterator[str]:
    """The queue; a row of ``pool_samples``."""
    fields = {
        "queued": int(row["queued"]),
        "running": int(row["running"]),
        "waiting_users": int(row["waiting_users"]),
        "oldest_seconds": row["longest_wait_ms"] / 1000,
    }
    yield from _one("vramgate_queue", {"pool": pool}, fields, at_ms * _MS)


def job_points(rows: Iterable[Row], pool: str, *, users: bool) -> Iterator[str]:
    """Ended jobs; rows of ``jobs``. Never a text of theirs, and ``users``: whose they were."""
    for row in rows:
        tags = {
            "pool": pool,
            "state": row["state"],
            "reason": row["reason"] or "",
            "lane": row["lane"],
            "group": row["group_name"],
            "gpu": row["gpu"],
            "worker": row["worker"],
        }
        if users:
            tags["user"] = row["user_name"]
        ran = bool(row["started_ms"])
        fields = {
            "job": row["id"],
            "workflow": row["fingerprint"],
            "attempts": row["attempts"],
            "out_of_memory": row["ooms"],
            "wait_seconds": (row["admitted_ms"] - row["submitted_ms"]) / 1000 if ran else None,
            "run_seconds": float(row["run_seconds"]) if ran else None,
            "reserved_bytes": row["reserved_bytes"],
            "peak_bytes": row["peak_bytes"] or None,
        }
        # jobs that end in one millisecond would be one point
        within = int.from_bytes(blake2b(row["id"].encode(), digest_size=4).digest()) % _MS
        yield from _one("vramgate_job", tags, fields, row["ended_ms"] * _MS + within)


def _one(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any], at_ns: int
) -> Iterator[str]:
    text = line(measurement, tags, fields, at_ns)
    if text is not None:
        yield text
