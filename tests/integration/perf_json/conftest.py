"""A store of each kind with an hour of two people's work, and a text that must not come out."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.samples import fold_gpus, fold_pool
from dashboard.perf_json.recording import Recording
from store import history_schema as history
from store import schema
from store.advice import FoundAdvice, SqlAdvice
from store.engine import open_engine
from store.migrate import migrate
from store.recordings import SqlRecordings
from store.samples import SqlSamples
from store.users import SqlUsers
from tests.integration.history.rows import attempt_row, fill, job_row, node_row, sample_row
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url

NOW_MS = int(time.time()) * 1000 // 3_600_000 * 3_600_000
FROM_MS = NOW_MS - 3_600_000
SECRET = "a portrait of the minister"
SHAPES = {
    "inputs": {
        "text": SECRET, SECRET: 1, "steps": 20, "model_name": "minister.safetensors",
        "latent": {"shape": [1, 4, 64, 64], "dtype": "float16"},
    },
    "outputs": {"IMAGE": {"shape": [1, 512, 512, 3], "dtype": "float32"}},
}  # fmt: skip


def prompt_row(job: str, started_ms: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys((column.name for column in history.prompt_runs.columns), 0)
    row |= {"job_id": job, "attempt": 1, "user_name": "ann", "worker": "host-0", "gpu": "gpu-0"}
    row |= {"started_ms": started_ms, "seconds": 10.0, "result": "success", "overlap": False}
    return row | {"retained": '{"VAEDecode": 5}'} | changes


def move_row(job: str, at_ms: int, user: str) -> dict[str, Any]:
    return {
        "worker": "host-0", "boot": "b", "seq": at_ms % 1_000_000, "at_ms": at_ms, "job_id": job,
        "attempt": 1, "user_name": user, "node": "3", "what": "load", "model": "SDXL", "bytes": 9,
        "loaded_bytes": 9, "seconds": 1.5,
    }  # fmt: skip


async def fill_job(engine: AsyncEngine, job: str, user: str, ended_ms: int) -> None:
    """A job with everything that is kept of one."""
    begun = ended_ms - 10_000
    body = json.dumps({"1": SECRET}).encode()
    more = {"user_name": user, "prompt": body, "result": body, "prompt_id": f"{SECRET} {job}"}
    await fill(engine, schema.jobs, [job_row(job, ended_ms, **more)])
    await fill(engine, schema.attempts, [attempt_row(job, ended_ms, user_name=user)])
    await fill(engine, history.prompt_runs, [prompt_row(job, begun, user_name=user)])
    shapes = json.dumps(SHAPES)
    nodes = [
        node_row(job, begun, user_name=user, seconds=8.0, shapes=shapes),
        node_row(
            job, begun + 8000, user_name=user, node=SECRET, class_type="VAEDecode", error=SECRET,
            fallback=SECRET, result=SECRET,
        ),
        node_row(job, begun, user_name=user, node="1", cached=True, seconds=0.0),
    ]  # fmt: skip
    await fill(engine, history.node_runs, nodes)
    await fill(engine, history.model_moves, [move_row(job, begun + 500, user)])
    points = [[250 * n, n, n + 1, None] for n in range(4)]
    pieces = [
        {"worker": "host-0", "at_ms": begun + 1000 * n, "points": json.dumps(points)}
        for n in range(10)
    ]
    await fill(engine, history.curves, pieces)


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    """Ann has two jobs and bob one, all on one worker; a minute of samples is missing."""
    opened = open_engine(store_url)
    await migrate(opened)
    for job, user, at_ms in (
        ("ann-1", "ann", FROM_MS + 600_000),
        ("bob-1", "bob", FROM_MS + 620_000),
        ("ann-2", "ann", FROM_MS + 640_000),
    ):
        await fill_job(opened, job, user, at_ms)
    await fill(opened, schema.jobs, [job_row("old", FROM_MS - 1, user_name="ann")])
    silent = range(100, 160)
    samples = [
        sample_row(FROM_MS + 1000 * n, holders=json.dumps([["host-0", "bob", 4]]))
        for n in range(1200)
        if n not in silent
    ]
    await fill(opened, history.gpu_samples, samples)
    wait = {"step_s": 10, "at_ms": FROM_MS, "user_name": "ann", "reason": "fairness"}
    await fill(opened, history.waits, [wait | {"blocker": "user:bob", "job_ms": 4000}])
    names = {"hour_ms": FROM_MS, "gpu": "gpu-0", "group_name": "film", "fingerprint": "fp-1"}
    sums = dict.fromkeys(("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "wait_ms"), 2**61)
    usage = [
        {
            **names,
            **sums,
            "failed": 0,
            "jobs": 2,
            "user_name": user,
            "model": "minister.safetensors",
        }
        for user in ("ann", "bob")
    ]
    await fill(opened, history.usage, usage)
    firing = {"id": "a1", "rule": "slow_node", "user_name": "ann", "ended_ms": None, "value": 9.0}
    firing |= {"subject": "user:ann", "since_ms": FROM_MS + 5, "threshold": 5.0, "worst": 12.0}
    await fill(opened, history.alerts, [firing | {"detail": SECRET, "severity": "critical"}])
    await SqlAdvice(opened).replace([advice_for("ann"), advice_for("bob")], FROM_MS)
    yield opened
    await opened.dispose()


def advice_for(user: str) -> FoundAdvice:
    return FoundAdvice(
        id=user, kind="vae_fallback", gain=60.0, gain_low=30.0, gain_high=90.0, users=(user,),
        body={
            "title": f"{user}'s VAEDecode fell back with minister.safetensors",
            "remedies": [f"Ask {user} for tiles"], "gain_in": "gpu_time",
            "proof": {"shown": 7}, "users": [user], "cause": SECRET, "subject": SECRET,
            "jobs": [{"job": f"{user}-1", "user": user}],
            "about": {"models": ["checkpoints/minister.safetensors"]},
        },
    )  # fmt: skip


@pytest.fixture
def recording(engine: AsyncEngine) -> Recording:
    samples = SqlSamples(engine, fold_gpus, fold_pool)
    return Recording(SqlRecordings(engine), samples, SqlUsers(engine), clock=time.time)
