"""An ended job's row with harmless defaults."""

from __future__ import annotations

from typing import Any

from store.job_list import JobHead

GIB = 2**30


def head(**changes: Any) -> JobHead:
    """Submitted at 1 s, admitted at 3 s, started at 4 s, ended at 10 s."""
    fields: dict[str, Any] = {
        "id": "j", "user_name": "ann", "group_name": "film", "prompt_id": "j",
        "state": "SUCCEEDED", "reason": None, "lane": "interactive", "fingerprint": "fp",
        "attempts": 1, "losses": 0, "ooms": 0, "worker": "w", "gpu": "g", "needs_gpu": True,
        "need_bytes": 4 * GIB, "need_seconds": 5.0, "run_seconds": 6.0,
        "reserved_bytes": 4 * GIB, "peak_bytes": 3 * GIB, "submitted_ms": 1000,
        "admitted_ms": 3000, "started_ms": 4000, "ended_ms": 10_000,
    }  # fmt: skip
    return JobHead(**(fields | changes))
