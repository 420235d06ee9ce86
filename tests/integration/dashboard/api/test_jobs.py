"""Jobs as the dashboard asks for them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.api.jobs import Jobs
from dashboard.insight.names import Names
from scheduler.ledger import Ledger
from scheduler.states import WaitReason
from store import history_schema as history
from store import schema
from store.job_list import SqlJobs
from store.timeline import SqlTimelines
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve
from tests.integration.dashboard.conftest import Floor
from tests.integration.history.rows import GIB, attempt_row, fill, job_row, node_row
from tests.integration.history.test_timeline import prompt_row

NOW_MS = int(time.time() * 1000) // 1000 * 1000
GRAPH = {
    "1": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "sdxl/base.safetensors"},
        "_meta": {"title": "words of ann"},
    },
    "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216, "batch_size": 2}},
    "3": {
        "class_type": "KSampler",
        "inputs": {"model": ["1", 0], "latent_image": ["2", 0], "steps": 20, "sampler_name": "euler"},
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}  # fmt: skip
BODY = json.dumps({"prompt": GRAPH, "secrets": {"token": "words of ann"}}).encode()
RESULT = json.dumps(
    {"outputs": {"9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}}}
).encode()


async def captures(worker: str, picture: str) -> bytes | None:
    return f"{worker} {picture}".encode() if picture == "kept" else None


def app(engine: AsyncEngine, ledger: Ledger) -> Any:
    jobs = SqlJobs(engine)
    return Jobs(jobs, SqlTimelines(engine), Names(jobs), ledger, who, captures=captures).routes()


@pytest.fixture
async def ask(engine: AsyncEngine, floor: Floor, serve: Serve) -> Ask:
    """Ann's job that ran out of memory and then fell back to tiles, an older one; bob's one."""
    end = NOW_MS - 60_000
    common: dict[str, Any] = {"prompt": BODY, "result": RESULT}
    slow = job_row("slow", end, attempts=2, ooms=1, submitted_ms=end - 40_000, **common)
    rows = [
        slow,
        job_row("fast", end - 100_000, **common),
        job_row("failed", end - 200_000, state="FAILED", reason="node_error", **common),
        job_row("bobs", end - 300_000, user_name="bob", **common),
    ]
    await fill(engine, schema.jobs, rows)
    first = {"claimed_ms": end - 29_000, "admitted_ms": end - 30_000}
    await fill(
        engine,
        schema.attempts,
        [
            attempt_row("slow", end - 20_000, state="QUEUED", reason="oom", **first),
            attempt_row("slow", end, attempt=2, reserved_bytes=8 * GIB),
            attempt_row("fast", end - 100_000),
        ],
    )
    inputs = json.dumps({"inputs": {"steps": 20}, "outputs": {"0": {"shape": [1, 4, 64, 64]}}})
    more = json.dumps({"inputs": {"steps": 40}})
    begin = end - 10_000
    await fill(
        engine,
        history.node_runs,
        [
            node_row("slow", begin, attempt=2, seconds=4.0, shapes=more),
            node_row("slow", begin + 4000, attempt=2, node="8", class_type="VAEDecode",
                     seconds=5.5, fallback="tiled", display="8"),
            node_row("fast", begin - 100_000, seconds=2.0, shapes=inputs),
            node_row("fast", begin - 98_000, node="8", class_type="VAEDecode", seconds=0.9),
            node_row("bobs", begin - 300_000, user_name="bob", seconds=3.0),
        ],
    )  # fmt: skip
    await fill(engine, history.prompt_runs, [prompt_row("slow", begin, attempt=2)])
    points = json.dumps([[0, GIB, 2 * GIB, None], [250, GIB, 3 * GIB, 5 * GIB]])
    await fill(engine, history.curves, [{"worker": "host-0", "at_ms": begin, "points": points}])
    move: dict[str, Any] = {
        "worker": "host-0", "boot": "b", "seq": 1, "at_ms": begin + 1500, "job_id": "slow",
        "attempt": 2, "user_name": "ann", "node": "3", "what": "load", "model": "SDXL",
        "bytes": 6 * GIB, "loaded_bytes": 5 * GIB, "seconds": 1.25,
    }  # fmt: skip
    await fill(engine, history.model_moves, [move])
    wait: dict[str, Any] = {"step_s": 10, "user_name": "ann", "at_ms": end - 40_000}
    await fill(
        engine,
        history.waits,
        [
            {**wait, "reason": "no_headroom", "blocker": "user:bob", "job_ms": 7500},
            {**wait, "reason": "fairness", "blocker": "", "job_ms": 2500},
            {**wait, "reason": "cap", "blocker": "", "job_ms": 9, "user_name": "bob"},
        ],
    )
    return await serve(app(engine, floor.ledger))


async def test_a_list_has_ones_own_newest_first_a_page_at_a_time(ask: Ask) -> None:
    first = await ask("/api/v1/jobs?rows=2")
    assert [job["id"] for job in first["jobs"]] == ["slow", "fast"]
    assert first["jobs"][0]["workflow"]["name"] == "base · euler · 832×1216 ×2"
    rest = await ask(f"/api/v1/jobs?rows=2&before={first['next']}")
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (["failed"], None)
    everybodys = await ask("/api/v1/jobs", "root", "admin")
    assert [job["id"] for job in everybodys["jobs"]] == ["slow", "fast", "failed", "bobs"]


async def test_jobs_that_ended_at_the_same_moment_are_all_listed_once(
    ask: Ask, engine: AsyncEngine
) -> None:
    same = [job_row(f"s{number}", NOW_MS - 50_000, fingerprint="fp-s") for number in range(5)]
    await fill(engine, schema.jobs, same)
    seen, before = [], ""
    while before is not None:
        told = await ask(f"/api/v1/jobs?workflow=fp-s&rows=2{before and f'&before={before}'}")
        seen += [job["id"] for job in told["jobs"]]
        before = told["next"]
    assert seen == ["s4", "s3", "s2", "s1", "s0"]


async def test_a_list_is_filtered_by_state_workflow_and_time(ask: Ask) -> None:
    failed = await ask("/api/v1/jobs?state=FAILED,CANCELLED")
    assert [(job["id"], job["reason"]) for job in failed["jobs"]] == [("failed", "node_error")]
    assert (await ask("/api/v1/jobs?workflow=nope"))["jobs"] == []
    until = NOW_MS - 60_000
    older = await ask(f"/api/v1/jobs?until={until}&from={until - 150_000}")
    assert [job["id"] for job in older["jobs"]] == ["fast"]
    for wrong in ("state=DONE", "before=x", "rows=0", "from=5&until=4"):
        assert "error" in await ask(f"/api/v1/jobs?{wrong}", status=400)


async def test_nobody_sees_another_ones_job_and_admins_see_no_words(ask: Ask) -> None:
    for path in ("slow", "slow/node?node=3&attempt=2", "slow/compare?with=bobs"):
        assert "error" in await ask(f"/api/v1/jobs/{path}", "bob", status=404)
    assert "error" in await ask("/api/v1/jobs/bobs/compare?with=slow", "bob", status=404)
    assert "error" in await ask("/api/v1/jobs?user=ann", "bob", status=403)
    assert "error" in await ask("/api/v1/jobs/slow?user=ann", "bob", status=404)
    told = await ask("/api/v1/jobs/slow", "root", "admin")
    assert told["outputs"] == []
    assert "words of ann" not in json.dumps(told)


async def test_a_job_tells_its_story_up_to_the_attempt_that_did_it(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/slow")
    assert [(step["what"], step["attempt"], step["reason"]) for step in told["steps"]] == [
        ("waiting", 1, ""),
        ("starting", 1, ""),
        ("running", 1, "oom"),
        ("waiting", 2, ""),
        ("running", 2, ""),
    ]
    assert told["steps"][-1]["reserved_bytes"] == 8 * GIB
    assert [(one["reason"], one["blocker"], one["share"]) for one in told["waited"]] == [
        ("no_headroom", "user:others", 0.75),
        ("fairness", "", 0.25),
    ]
    admin = await ask("/api/v1/jobs/slow", "root", "admin")
    assert admin["waited"][0]["blocker"] == "user:bob"


async def test_a_job_has_its_whole_graph_its_memory_and_its_files(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/slow")
    bars = {bar["node"]: bar for bar in told["nodes"]}
    assert list(bars) == ["3", "8", "1", "2", "9"]
    assert (bars["3"]["load_seconds"], bars["3"]["usual_seconds"]) == (1.25, 2.0)
    assert bars["3"]["slow"] == ["late"]
    assert (bars["8"]["fallback"], bars["8"]["slow"]) == ("tiled", ["late", "long"])
    assert (bars["1"]["reached"], bars["1"]["state"]) == (False, "cached")
    assert bars["1"]["title"] == "words of ann"
    memory = told["memory"]
    assert memory["reserved"] == [2 * GIB, 3 * GIB]
    assert memory["footprint"][0] > memory["reserved"][0]
    assert memory["device_free"] == [None, 5 * GIB]
    assert len(memory["gaps"]) == 1
    assert told["outputs"] == [
        {"node": "9", "kind": "image", "filename": "a.png", "subfolder": "", "type": "output"}
    ]
    first = await ask("/api/v1/jobs/slow?attempt=1")
    assert (first["attempt"], {bar["state"] for bar in first["nodes"]}) == (1, {"missing"})


async def test_a_node_tells_what_it_was_given_and_how_usual_it_was(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/slow/node?node=3&attempt=2")
    assert (told["inputs"], told["compared"]) == ({"steps": 40}, 2)
    assert [past["job"] for past in told["past"]] == ["fast"]
    admin = await ask("/api/v1/jobs/slow/node?node=3&attempt=2", "root", "admin")
    assert [past["job"] for past in admin["past"]] == ["bobs", "fast"]
    assert "error" in await ask("/api/v1/jobs/slow/node?node=77", status=404)
    assert (await ask("/api/v1/jobs/fast/node?node=3"))["results"] == {
        "0": {"shape": [1, 4, 64, 64]}
    }


async def test_two_jobs_side_by_side_say_where_the_time_went(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/slow/compare?with=fast")
    worst, other = told["nodes"]
    assert (worst["class_type"], round(worst["lost_seconds"], 1)) == ("VAEDecode", 4.6)
    assert (worst["fallback_a"], worst["fallback_b"]) == ("tiled", "")
    assert other["changed"] == [{"name": "steps", "a": 40, "b": 20}]
    parts = {part["what"]: part["lost_seconds"] for part in told["parts"]}
    assert parts["waiting"] == 9.0
    assert parts["loading"] == 1.25
    assert "error" in await ask("/api/v1/jobs/slow/compare", status=400)


async def test_a_job_without_a_probe_has_its_attempts(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/failed")
    assert [step["what"] for step in told["steps"]] == ["waiting", "running"]
    assert (told["attempt"], told["ran"], told["memory"]["at_ms"]) == (0, None, [])
    assert {bar["state"] for bar in told["nodes"]} == {"missing"}


async def test_a_job_that_runs_shows_what_is_known_by_now(
    ask: Ask, floor: Floor, engine: AsyncEngine
) -> None:
    job = await floor.submit(prompt=BODY, fingerprint="fp-1")
    waiting = await ask(f"/api/v1/jobs/{job.id}")
    assert [step["until_ms"] for step in waiting["steps"]] == [None]
    await floor.explain(job, WaitReason.NO_HEADROOM, "needs 4 GiB", "gpu-0")
    told = (await ask(f"/api/v1/jobs/{job.id}"))["waiting"]
    assert (told["reason"], told["detail"], told["blocker"]) == ("no_headroom", "needs 4 GiB", "")
    attempt = await floor.start(job)
    now = int(time.time() * 1000)
    await fill(engine, history.node_runs, [node_row(job.id, now, attempt=attempt)])
    running = await ask(f"/api/v1/jobs/{job.id}")
    assert (running["job"]["state"], running["waiting"]) == ("RUNNING", None)
    assert running["steps"][-1]["until_ms"] is None
    assert [bar["state"] for bar in running["nodes"]] == ["done"] + ["missing"] * 4
    assert running["nodes"][0]["usual_seconds"] is not None
    listed = await ask("/api/v1/jobs")
    assert [one["id"] for one in listed["unfinished"]] == [job.id]
    assert (await ask("/api/v1/jobs", "bob"))["unfinished"] == []
    await ask(f"/api/v1/jobs/{job.id}", "bob", status=404)


async def test_a_clients_own_id_leads_to_its_job(ask: Ask, floor: Floor) -> None:
    job = await floor.submit(prompt=BODY, prompt_id="my-own")
    assert (await ask("/api/v1/jobs/my-own"))["job"]["id"] == job.id
    await ask("/api/v1/jobs/my-own", "bob", status=404)
    told = await ask("/api/v1/jobs/my-own?user=ann", "root", "admin")
    assert told["job"]["id"] == job.id


async def test_a_picture_of_a_node_is_its_owners(ask: Ask, engine: AsyncEngine) -> None:
    seen = {"5": "kept", "6": "gone"}
    some = [node_row("fast", NOW_MS, node=node, capture=one) for node, one in seen.items()]
    await fill(engine, history.node_runs, some)
    path = "/api/v1/jobs/fast/picture?node="
    assert await ask(f"{path}5", raw=True) == b"host-0 kept"
    assert (await ask("/api/v1/jobs/fast/node?node=5"))["picture"] is True
    for node in ("6", "3", "77"):
        assert "No picture" in (await ask(path + node, status=404))["error"]
    assert "No picture" in (await ask(f"{path}5", "root", "admin", status=404))["error"]
    assert (await ask("/api/v1/jobs/fast/node?node=5", "root", "admin"))["picture"] is False
