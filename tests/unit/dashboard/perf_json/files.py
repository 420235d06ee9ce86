"""A small recording, as a dictionary that tests change."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs

from dashboard.perf_json.schema import schema

T0 = 1_790_000_000_000
VALIDATOR = jsonschema_rs.validator_for(schema())


def small() -> dict[str, Any]:
    """One job that waited a second, and ran for ten with two nodes."""
    return {
        "format": "vramgate.perf",
        "version": "1.0",
        "about": {"writer": "vramgate 0", "written_ms": T0, "scope": "span", "redacted": True},
        "span": {"from_ms": T0, "until_ms": T0 + 20_000},
        "gpus": [{"id": "gpu-0", "total_bytes": 100}],
        "workers": [{"id": "host-0", "gpu": "gpu-0"}],
        "jobs": [
            {
                "id": "j1", "user": "user-1", "state": "SUCCEEDED", "worker": "host-0",
                "gpu": "gpu-0", "submitted_ms": T0, "admitted_ms": T0 + 1000,
                "started_ms": T0 + 1000, "ended_ms": T0 + 11_000,
            }
        ],
        "runs": [
            {
                "job": "j1", "attempt": 1, "user": "user-1", "worker": "host-0", "gpu": "gpu-0",
                "admitted_ms": T0 + 1000, "started_ms": T0 + 1000, "ended_ms": T0 + 11_000,
                "seconds": 10.0, "result": "success", "state": "SUCCEEDED",
            }
        ],
        "nodes": [
            {"job": "j1", "node": "3", "class": "KSampler", "started_ms": T0 + 1000, "seconds": 8.0},
            {"job": "j1", "node": "8", "class": "VAEDecode", "started_ms": T0 + 9000,
             "seconds": 2.0, "fallback": "tiled"},
        ],
        "moves": [
            {"at_ms": T0 + 2000, "worker": "host-0", "job": "j1", "what": "load", "model": "SDXL",
             "bytes": 7, "loaded_bytes": 7, "seconds": 0.5}
        ],
        "memory": [
            {"worker": "host-0", "at_ms": [T0 + 1000, T0 + 1250], "allocated": [1, 2],
             "reserved": [3, 4], "device_free": [None, 5]}
        ],
        "samples": [
            {"gpu": "gpu-0", "step_s": 10, "at_ms": [T0, T0 + 10_000], "foreign_bytes": [1, 1],
             "resident_bytes": [2, 2], "reserved_bytes": [3, 3], "free_bytes": [94, 94],
             "utilisation": [0.5, None]}
        ],
        "queue": [
            {"step_s": 10, "at_ms": [T0, T0 + 10_000], "queued": [1.0, 0.0], "running": [0.0, 1.0]}
        ],
        "gaps": [{"subject": "gpu:gpu-0", "from_ms": T0 + 12_000, "until_ms": T0 + 15_000}],
    }  # fmt: skip


def encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def check_schema(content: bytes) -> dict[str, Any]:
    """The file, if it is one by the schema."""
    found: dict[str, Any] = json.loads(content)
    VALIDATOR.validate(found)
    return found
