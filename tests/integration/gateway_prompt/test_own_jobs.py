"""Queue, interrupt, history and jobs: each caller's own, in ComfyUI's shapes."""

from __future__ import annotations

import json

import pytest

from gateway.ports import PastJob
from scheduler.ledger import Ending
from scheduler.states import Job, JobState
from tests.integration.gateway_prompt.stage import Stage, graph


async def finish(stage: Stage, user: str = "ann", client_id: str | None = "tab") -> Job:
    job = await stage.start(await stage.queue(user, client_id))
    await stage.settle(job)
    return job


def past(number: int, ended_ms: int) -> PastJob:
    body = {"prompt": graph(), "extra_data": {}, "outputs": ["2"], "client_id": "tab"}
    return PastJob(
        id=f"job-{number}",
        prompt_id=f"past-{number}",
        number=number,
        client_id="tab",
        state="SUCCEEDED",
        submitted_ms=ended_ms - 10,
        started_ms=ended_ms - 5,
        ended_ms=ended_ms,
        prompt=json.dumps(body).encode(),
        result=b'{"outputs": {}, "status": {"status_str": "success"}, "meta": {}}',
    )


# ── nobody else's ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    ["/prompt", "/queue", "/history", "/history/{}", "/jobs", "/jobs?status=completed", "/jobs/{}"],
)
async def test_no_route_shows_another_users_prompts(stage: Stage, path: str) -> None:
    ended = await finish(stage)
    running = await stage.start(await stage.queue())
    pending = await stage.queue()
    for job in (ended, running, pending):
        _, body = await stage.call("GET", path.format(job.prompt_id), "bob")
        assert job.prompt_id not in json.dumps(body)
        assert body in (
            {},
            {"error": "Job not found"},
            {"exec_info": {"queue_remaining": 0}},
            {"queue_running": [], "queue_pending": []},
            {"jobs": [], "pagination": {"offset": 0, "limit": None, "total": 0, "has_more": False}},
        )


async def test_no_route_lets_anybody_stop_or_hide_another_users_prompts(stage: Stage) -> None:
    ended = await finish(stage)
    running = await stage.start(await stage.queue())
    pending = await stage.queue()
    named = [job.prompt_id for job in (ended, running, pending)]
    for path, body in (
        ("/queue", {"clear": True}),
        ("/queue", {"delete": named}),
        ("/interrupt", None),
        ("/history", {"clear": True}),
        ("/history", {"delete": named}),
        ("/jobs/cancel", {"job_ids": named}),
        *(("/interrupt", {"prompt_id": one}) for one in named),
        *((f"/jobs/{one}/cancel", {}) for one in named),
    ):
        status, answer = await stage.call("POST", path, "bob", json=body)
        assert status == 200
        assert answer in (None, {"cancelled": False})
    states = [job.state for job in await stage.ledger.unfinished("ann")]
    assert states == [JobState.RUNNING, JobState.QUEUED]
    assert ended.prompt_id in await stage.get("/history")


async def test_the_same_prompt_id_of_two_users_means_two_jobs(stage: Stage) -> None:
    await stage.queue("ann", prompt_id="same")
    await stage.queue("bob", prompt_id="same")
    await stage.post("/queue", {"delete": ["same"]}, "bob")
    assert await stage.ledger.remaining("ann") == 1
    assert await stage.ledger.remaining("bob") == 0


# ── queue and interrupt ──────────────────────────────────────────────────────


async def test_clear_and_delete_take_pending_prompts_and_leave_running_ones(stage: Stage) -> None:
    running = await stage.start(await stage.queue())
    first, second, third = [await stage.queue() for _ in range(3)]
    await stage.post("/queue", {"delete": [first.prompt_id, running.prompt_id, "unknown", 7]})
    queue = await stage.get("/queue")
    assert [item[1] for item in queue["queue_pending"]] == [second.prompt_id, third.prompt_id]
    await stage.post("/queue", {"clear": True})
    queue = await stage.get("/queue")
    assert queue["queue_pending"] == []
    assert [item[1] for item in queue["queue_running"]] == [running.prompt_id]
    assert await stage.get("/history") == {}


async def test_interrupt_with_an_id_stops_only_that_one_and_only_if_it_runs(stage: Stage) -> None:
    first, second = [await stage.start(await stage.queue()) for _ in range(2)]
    pending = await stage.queue()
    await stage.post("/interrupt", {"prompt_id": pending.prompt_id})
    await stage.post("/interrupt", {"prompt_id": "unknown"})
    await stage.post("/interrupt", {"prompt_id": first.prompt_id})
    states = {job.id: job.state for job in await stage.ledger.unfinished("ann")}
    assert states == {
        first.id: JobState.CANCELLING,
        second.id: JobState.RUNNING,
        pending.id: JobState.QUEUED,
    }


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"[]"])
async def test_interrupt_without_an_id_stops_all_that_run_of_the_caller(
    stage: Stage, body: bytes
) -> None:
    running = await stage.start(await stage.queue())
    others = await stage.start(await stage.queue("bob"))
    await stage.queue()
    status, answer = await stage.call("POST", "/interrupt", "ann", data=body)
    assert (status, answer) == (200, None)
    (found,) = [job for job in await stage.ledger.unfinished("ann") if job.id == running.id]
    assert found.state is JobState.CANCELLING
    (theirs,) = await stage.ledger.unfinished("bob")
    assert (theirs.id, theirs.state) == (others.id, JobState.RUNNING)
    assert await stage.ledger.remaining("ann") == 2


@pytest.mark.parametrize("path", ["/queue", "/history"])
async def test_a_body_that_is_no_object_is_a_400_in_comfyuis_shape(stage: Stage, path: str) -> None:
    for data in (b"nojson", b"[]", b""):
        status, answer = await stage.call("POST", path, "ann", data=data)
        assert status == 400
        assert set(answer) == {"error", "node_errors"}


# ── history ──────────────────────────────────────────────────────────────────


async def test_an_entry_has_comfyuis_shape(stage: Stage) -> None:
    job = await finish(stage)
    entry = (await stage.get(f"/history/{job.prompt_id}"))[job.prompt_id]
    assert set(entry) == {"prompt", "outputs", "status", "meta"}
    assert entry["prompt"] == [job.number, job.prompt_id, graph(), {"client_id": "tab"}, ["2"]]
    assert entry["outputs"] == {"2": {"text": ["ann"]}}
    assert entry["status"]["completed"] is True
    assert await stage.get("/history") == {job.prompt_id: entry}
    assert await stage.get("/history/unknown") == {}


async def test_max_items_and_offset_mean_what_they_mean_to_comfyui(stage: Stage) -> None:
    done = [(await finish(stage)).prompt_id for _ in range(4)]

    async def ids(query: str) -> list[str]:
        return list(await stage.get(f"/history{query}"))

    assert await ids("") == done
    assert await ids("?max_items=2") == done[-2:]
    assert await ids("?max_items=1&offset=0") == done[:1]
    assert await ids("?max_items=2&offset=1") == done[1:3]
    assert await ids("?offset=3") == done[3:]
    assert await ids("?max_items=0") == []
    assert await ids("?max_items=-1") == []
    assert await ids("?max_items=99") == done
    assert await ids("?max_items=2&offset=-1") == done[-2:]
    for query in ("?max_items=abc", "?offset=x"):
        status, answer = await stage.call("GET", f"/history{query}", "ann")
        assert status == 400
        assert set(answer) == {"error", "node_errors"}


async def test_history_goes_on_in_the_archive_without_gaps_or_repetitions(stage: Stage) -> None:
    stage.archive.jobs["ann"] = [past(number, 1000 + number) for number in range(3)]
    stage.archive.jobs["bob"] = [past(9, 1009)]
    recent = await finish(stage)
    found = await stage.ledger.find("ann", recent.prompt_id)
    assert found is not None
    copy = past(50, found.ended_ms)
    stage.archive.jobs["ann"].append(
        PastJob(**{**{f: getattr(copy, f) for f in copy.__slots__}, "id": recent.id})
    )
    assert list(await stage.get("/history?max_items=3")) == ["past-1", "past-2", recent.prompt_id]
    assert list(await stage.get("/history?max_items=1&offset=0")) == ["past-0"]
    assert list(await stage.get("/history/past-1")) == ["past-1"]
    assert await stage.get("/history/past-9") == {}
    await stage.post("/history", {"delete": ["past-1", recent.prompt_id]})
    assert "past-1" not in await stage.get("/history")
    await stage.post("/history", {"clear": True})
    assert await stage.get("/history") == {}
    assert len(stage.archive.jobs["bob"]) == 1


# ── jobs ─────────────────────────────────────────────────────────────────────


async def test_jobs_lists_all_states_by_status_newest_first(stage: Stage) -> None:
    done = await finish(stage)
    failed = await stage.start(await stage.queue())
    await stage.settle(failed, Ending.FAILED, "execution_error")
    running = await stage.start(await stage.queue())
    pending = await stage.queue()
    everything = await stage.get("/jobs")
    statuses = {job["id"]: job["status"] for job in everything["jobs"]}
    assert statuses == {
        done.prompt_id: "completed",
        failed.prompt_id: "failed",
        running.prompt_id: "in_progress",
        pending.prompt_id: "pending",
    }
    some = await stage.get("/jobs?status=pending,in_progress&limit=1&offset=0")
    assert [job["id"] for job in some["jobs"]] == [pending.prompt_id]
    assert some["pagination"] == {"offset": 0, "limit": 1, "total": 2, "has_more": True}
    found = await stage.get(f"/jobs/{failed.prompt_id}")
    assert found["execution_error"]["prompt_id"] == failed.prompt_id
    assert found["workflow"]["prompt"] == graph()
    for query in ("status=odd", "limit=0", "limit=x", "offset=-1", "sort_by=x", "sort_order=x"):
        assert (await stage.call("GET", f"/jobs?{query}", "ann"))[0] == 400


async def test_jobs_cancel_takes_pending_and_running_ones(stage: Stage) -> None:
    running = await stage.start(await stage.queue())
    first, second = [await stage.queue() for _ in range(2)]
    assert await stage.post(f"/jobs/{first.prompt_id}/cancel", {}) == {"cancelled": True}
    named = {"job_ids": [running.prompt_id, second.prompt_id, "unknown"]}
    assert await stage.post("/jobs/cancel", named) == {"cancelled": True}
    assert await stage.post("/jobs/cancel", {"job_ids": ["unknown"]}) == {"cancelled": False}
    (left,) = await stage.ledger.unfinished("ann")
    assert (left.id, left.state) == (running.id, JobState.CANCELLING)
