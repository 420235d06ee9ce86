"""A snapshot, condensed to what the dashboard shows."""

from __future__ import annotations

from dataclasses import replace

from dashboard.sample import condense
from tests.pools import GIB, gpu, running, snapshot, worker


def test_a_job_that_tries_less_memory_says_so() -> None:
    job = replace(running("j"), trial=True, reserved_bytes=6 * GIB)
    pool = snapshot([gpu()], [worker("w0", job="j")], [], active=[job])
    (row,) = condense(pool, {}, 10.0).running
    assert row.wait_detail == "runs with 6.0 GiB in a quiet hour, to learn what less memory costs"


def test_any_other_running_job_says_nothing() -> None:
    pool = snapshot([gpu()], [worker("w0", job="j")], [], active=[running("j")])
    (row,) = condense(pool, {}, 10.0).running
    assert row.wait_detail == ""
