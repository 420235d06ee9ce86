"""Records in Redis: those of older versions are read too."""

from __future__ import annotations

import json

from scheduler.redis_codec import decode_agent, decode_group, decode_job, decode_worker, encode_spec
from scheduler.states import JobState, MemoryLimit, Step
from tests.factories import GIB, new_job

OLD_SPEC = b'["film","batch","fp",["checkpoints/a"],12.5,true,[["a.png","ab",5]],["p"]]'
OLD_JOB = {
    b"id": b"j",
    b"user": b"ann",
    b"prompt_id": b"j",
    b"state": b"QUEUED",
    b"rev": b"1",
    b"number": b"4",
    b"need_bytes": b"7",
    b"submitted_ms": b"9",
    b"spec": OLD_SPEC,
}


def test_a_job_of_an_older_version_is_read() -> None:
    job = decode_job(OLD_JOB)
    assert job is not None
    assert (job.group, job.state, job.parents) == ("film", JobState.QUEUED, ("p",))
    assert (job.model_bytes, job.curve, job.load_seconds, job.host_bytes) == ((), (), 0.0, 0)
    assert (job.held, job.skips, job.deadline_ms, job.user_cost) == (False, 0, 0, 0)


def test_a_job_of_before_parents_is_read() -> None:
    job = decode_job({**OLD_JOB, b"spec": json.dumps(json.loads(OLD_SPEC)[:-1]).encode()})
    assert job is not None
    assert job.parents == ()


def test_an_older_job_s_group_is_in_its_spec() -> None:
    assert decode_group(None, OLD_SPEC) == "film"
    assert decode_group(b"games", OLD_SPEC) == "games"
    assert decode_group(None, None) == ""


def test_an_older_worker_and_agent_have_no_limit_and_no_host_memory() -> None:
    fields = {
        b"agent": b"h",
        b"gpu": b"g",
        b"state": b"READY",
        b"models": b"[]",
        b"has_probe": b"0",
    }
    worker = decode_worker("h-0", fields, {})
    assert worker is not None
    assert (worker.limit, worker.failures, worker.failed_ms) == (MemoryLimit.OBSERVED, 0, 0)
    agent = decode_agent("h", {b"url": b"http://h", b"version": b"1", b"heartbeat_ms": b"5"})
    assert agent is not None
    assert (agent.host_total_bytes, agent.host_available_bytes) == (0, 0)


def test_a_spec_with_everything_in_it_stays_small() -> None:
    job = new_job(
        models=tuple(f"loras/some_style_number_{n}.safetensors" for n in range(6)),
        model_bytes=(6 * GIB,) * 6,
        parents=("f" * 32,) * 3,
        curve=tuple(Step(n * GIB, 10.0 / n) for n in range(1, 9)),
        load_seconds=12.25,
        late_seconds=33.5,
        host_bytes=9 * GIB,
    )
    assert len(encode_spec(job, "film")) < 1024
