"""Rows with harmless defaults; tests name only what matters to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import writing

HOUR_MS = 3_600_000
GIB = 2**30
Row = dict[str, Any]


async def fill(engine: AsyncEngine, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows."""
    async with writing(engine) as connection:
        await connection.execute(table.insert(), list(rows))


def job_row(job_id: str, ended_ms: int, **changes: Any) -> Row:
    """A job of ann's that waited for a second and ran for ten."""
    row: Row = {
        "id": job_id, "user_name": "ann", "group_name": "film", "prompt_id": job_id,
        "client_id": None, "number": 1, "state": "SUCCEEDED", "reason": None,
        "lane": "interactive", "fingerprint": "fp-1", "attempts": 1, "losses": 0, "ooms": 0,
        "worker": "host-0", "gpu": "gpu-0", "needs_gpu": True, "need_bytes": 4 * GIB,
        "need_seconds": 9.0, "run_seconds": 10.0, "reserved_bytes": 4 * GIB,
        "peak_bytes": 3 * GIB, "submitted_ms": ended_ms - 11_000,
        "admitted_ms": ended_ms - 10_000, "started_ms": ended_ms - 10_000,
        "ended_ms": ended_ms, "prompt": b"{}", "result": b"{}", "model": "sdxl",
        "model_bytes": GIB, "load_seconds": 1.0,
    }  # fmt: skip
    return row | changes


def attempt_row(job_id: str, ended_ms: int, **changes: Any) -> Row:
    """The one attempt of such a job."""
    row: Row = {
        "job_id": job_id, "attempt": 1, "user_name": "ann", "worker": "host-0", "gpu": "gpu-0",
        "admitted_ms": ended_ms - 10_000, "claimed_ms": ended_ms - 10_000, "ended_ms": ended_ms,
        "state": "SUCCEEDED", "reason": None, "reserved_bytes": 4 * GIB, "cost_us": 5_000_000,
    }  # fmt: skip
    return row | changes


def node_row(job_id: str, started_ms: int, **changes: Any) -> Row:
    """A sampler of a job's first attempt."""
    row: Row = {
        "job_id": job_id, "attempt": 1, "node": "3", "user_name": "ann", "display": "",
        "class_type": "KSampler", "started_ms": started_ms, "seconds": 1.0, "calls": 1,
        "cached": False, "result": "success", "error": None, "before_bytes": 10,
        "after_bytes": 20, "peak_bytes": 30, "out_bytes": 5, "shapes": None, "fallback": None,
        "capture": None,
    }  # fmt: skip
    return row | changes


def sample_row(at_ms: int, **changes: Any) -> Row:
    """One reading of a 24 GiB card."""
    row: Row = {
        "step_s": 1, "gpu": "gpu-0", "at_ms": at_ms, "total_bytes": 24 * GIB,
        "foreign_bytes": GIB, "resident_bytes": 2 * GIB, "reserved_bytes": 4 * GIB,
        "free_bytes": 17 * GIB, "least_free_bytes": 17 * GIB, "utilisation": 0.5,
        "temperature": 60, "power_mw": 300_000, "readings": 1,
        "holders": '[["host-0","ann",4294967296]]',
    }  # fmt: skip
    return row | changes


def alert_row(alert_id: str, since_ms: int, *, job: str = "j", **changes: Any) -> Row:
    """Something slow of ann's that still fires."""
    row: Row = {
        "id": alert_id, "rule": "slow_node", "subject": "node:VAEDecode", "user_name": "ann",
        "since_ms": since_ms, "ended_ms": None, "value": 12.0, "threshold": 5.0,
        "detail": json.dumps({"text": "node 8 took 12 s", "job": job, "attempt": 1, "node": "8"}),
        "severity": "warning", "group_name": "film", "began_ms": since_ms, "worst": 12.0,
        "muted": "",
    }  # fmt: skip
    return row | changes
