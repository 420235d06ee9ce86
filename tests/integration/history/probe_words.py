"""Records as a probe and its agent tell them."""

from __future__ import annotations

import json
from typing import Any

from scheduler.ledger_records import ToldRecords

Record = dict[str, Any]
JOB = {"job": "j1", "attempt": 1, "user": "ann", "prompt": "uuid-1"}


def node(seq: int, node_id: str = "3", class_type: str = "KSampler", **changes: Any) -> Record:
    """A node that ran for a second."""
    record: Record = {
        "seq": seq, "kind": "node", "at": 1000.0 + seq, **JOB, "node": node_id,
        "class": class_type, "started": 999.0 + seq, "seconds": 1.0, "calls": 1,
        "cached": False, "result": "success", "allocated": [10, 20], "peak": 30,
        "out_bytes": 5, "inputs": {"steps": 20}, "outputs": {"0": {"shape": [1, 4, 64, 64]}},
    }  # fmt: skip
    return record | changes


def prompt(seq: int, **changes: Any) -> Record:
    """The end of a prompt."""
    record: Record = {
        "seq": seq, "kind": "prompt", "at": 1010.0, **JOB, "started": 1000.0, "seconds": 10.0,
        "result": "success", "nodes": 3, "cached": 1, "peak_allocated": 100,
        "peak_reserved": 120, "allocated": [0, 50], "reserved": [0, 60], "limit": None,
        "loads": 1, "load_seconds": 2.5, "overlap": False, "retained": {"KSampler": 5},
    }  # fmt: skip
    return record | changes


def told(*records: Record, **changes: Any) -> ToldRecords:
    """A batch of worker ``host-0``."""
    fields: dict[str, Any] = {"agent": "host", "worker": "host-0", "gpu": "gpu-0", "boot": "b1"}
    return ToldRecords(**(fields | {"records": json.dumps(records).encode()} | changes))
