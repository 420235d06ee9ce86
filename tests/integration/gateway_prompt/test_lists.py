"""``/queue``, ``/history`` and ``/api/jobs`` of a user who has very many, and while jobs settle."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.comfy_api.stored import encode_body
from scheduler.states import NewJob
from tests.factories import new_job
from tests.integration.gateway_prompt.stage import Stage, graph
from tests.integration.gateway_prompt.test_own_jobs import past

#: pending prompts that an answer shows whole
WHOLE = 200
MANY = 500


def body(n: int) -> bytes:
    return encode_body(
        prompt=graph(f"picture {n}"),
        extra_data={"extra_pnginfo": {"workflow": {"id": f"workflow-{n % 2}"}}},
        outputs=["2"],
        client_id="tab",
        secrets={},
    )


async def submit(stage: Stage, count: int, user: str = "ann") -> list[NewJob]:
    jobs = [new_job(user, client_id="tab") for _ in range(count)]
    for n, job in enumerate(jobs):
        await stage.ledger.submit(job, body(n), max_queued=None)
    return jobs


class Counted:
    """A ledger's reads of bodies, counted."""

    def __init__(self, stage: Stage) -> None:
        self.bodies = 0
        self._inner = stage.ledger.server
        stage.ledger.server = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def command(self, *words: Any) -> Any:
        if words[0] == "MGET":
            self.bodies += len(words) - 1
        return await self._inner.command(*words)


async def test_a_long_queue_names_every_prompt_and_shows_the_first_ones_whole(
    stage: Stage,
) -> None:
    jobs = await submit(stage, MANY)
    pending = (await stage.get("/queue"))["queue_pending"]
    assert [item[1] for item in pending] == [job.prompt_id for job in jobs]
    assert [item[0] for item in pending] == list(range(1, MANY + 1))
    assert all(len(item) == 5 for item in pending)
    assert pending[0][2] == graph("picture 0")
    assert pending[WHOLE - 1][2] == graph(f"picture {WHOLE - 1}")
    assert pending[WHOLE - 1][4] == ["2"]
    assert pending[WHOLE][2:] == [{}, {"client_id": "tab"}, []]


async def test_a_part_of_the_queue_is_shown_whole_wherever_it_is(stage: Stage) -> None:
    jobs = await submit(stage, MANY)
    part = (await stage.get("/queue?max_items=3&offset=300"))["queue_pending"]
    assert [item[1] for item in part] == [job.prompt_id for job in jobs[300:303]]
    assert [item[2] for item in part] == [graph(f"picture {n}") for n in range(300, 303)]
    assert (await stage.get("/queue?max_items=0"))["queue_pending"] == []
    assert (await stage.get(f"/queue?offset={MANY}"))["queue_pending"] == []
    status, answer = await stage.call("GET", "/queue?max_items=some", "ann")
    assert (status, answer["error"]["type"]) == (400, "bad_request")


async def test_a_queue_follows_every_change_of_order_and_number(stage: Stage) -> None:
    jobs = await submit(stage, 4)
    assert len((await stage.get("/queue"))["queue_pending"]) == 4
    await stage.ledger.move("ann", jobs[2].id, front=True)
    await stage.ledger.hold("ann", jobs[0].id, held=True)
    shown = (await stage.get("/queue"))["queue_pending"]
    assert [item[1] for item in shown] == [jobs[n].prompt_id for n in (2, 0, 1, 3)]
    assert [item[0] for item in shown] == [-5, 1, 2, 4]
    await stage.ledger.cancel("ann", jobs[1].id)
    shown = (await stage.get("/queue"))["queue_pending"]
    assert [item[1] for item in shown] == [jobs[n].prompt_id for n in (2, 0, 3)]


async def test_nobody_sees_another_users_list_from_memory(stage: Stage) -> None:
    (job,) = await submit(stage, 1)
    paths = ("/queue", "/history", "/api/jobs", f"/history/{job.prompt_id}")
    await stage.start(await found(stage, job))
    for _ in range(2):
        for path in (path.removeprefix("/api") for path in paths):
            text = json.dumps(await stage.get(path, "ann"))
            assert job.prompt_id in text or path.startswith("/history")
            assert job.prompt_id not in json.dumps(await stage.get(path, "bob"))


async def found(stage: Stage, new: NewJob) -> Any:
    job = await stage.ledger.find(new.user, new.prompt_id)
    assert job is not None
    return job


async def test_a_page_of_many_pending_jobs_reads_the_bodies_of_that_page(stage: Stage) -> None:
    jobs = await submit(stage, MANY)
    counted = Counted(stage)
    answer = await stage.get("/jobs?status=pending,in_progress&limit=20&offset=40")
    newest_first = [job.prompt_id for job in reversed(jobs)]
    assert [job["id"] for job in answer["jobs"]] == newest_first[40:60]
    assert answer["pagination"] == {"offset": 40, "limit": 20, "total": MANY, "has_more": True}
    assert answer["jobs"][0]["workflow_id"] == f"workflow-{(MANY - 41) % 2}"
    assert counted.bodies == 20
    last = await stage.get(f"/jobs?status=pending&limit=20&offset={MANY - 5}")
    assert len(last["jobs"]) == 5
    assert last["pagination"]["has_more"] is False


async def test_jobs_of_one_workflow_are_counted_exactly(stage: Stage) -> None:
    await submit(stage, 31)
    answer = await stage.get("/jobs?workflow_id=workflow-1&limit=10")
    assert answer["pagination"] == {"offset": 0, "limit": 10, "total": 15, "has_more": True}
    assert {job["workflow_id"] for job in answer["jobs"]} == {"workflow-1"}


async def test_pages_go_through_ledger_and_store_once_each(stage: Stage) -> None:
    ended = [await ended_job(stage) for _ in range(3)]
    stage.archive.jobs["ann"] = [past(number, 1000 + number) for number in range(40)]
    everything = [f"past-{number}" for number in range(40)] + ended
    seen: list[str] = []
    while True:
        answer = await stage.get(f"/jobs?status=completed&limit=7&offset={len(seen)}")
        seen += [job["id"] for job in answer["jobs"]]
        assert answer["pagination"]["total"] == 43
        if not answer["pagination"]["has_more"]:
            break
    assert seen == everything[::-1]
    slowest = await stage.get("/jobs?status=completed&sort_by=execution_duration&sort_order=asc")
    durations = [job["execution_end_time"] - job["execution_start_time"] for job in slowest["jobs"]]
    assert durations == sorted(durations)
    assert len(durations) == 43
    assert (await stage.get("/jobs?status=failed"))["pagination"]["total"] == 0


async def test_history_is_cut_anywhere_without_gaps(stage: Stage) -> None:
    ended = [await ended_job(stage) for _ in range(3)]
    stage.archive.jobs["ann"] = [past(number, 1000 + number) for number in range(10)]
    everything = [f"past-{number}" for number in range(10)] + ended
    for offset, most in ((0, 4), (8, 4), (9, 1), (10, 9), (11, 1), (12, 5), (13, 5), (99, 5)):
        found = await stage.get(f"/history?offset={offset}&max_items={most}")
        assert list(found) == everything[offset : offset + most], (offset, most)
    assert list(await stage.get("/history?max_items=5")) == everything[-5:]
    assert list(await stage.get("/history?max_items=2")) == everything[-2:]
    assert list(await stage.get("/history?offset=-1&max_items=2")) == everything[-2:]


async def ended_job(stage: Stage) -> str:
    job = await stage.start(await stage.queue())
    await stage.settle(job)
    return job.prompt_id


async def test_what_is_dropped_from_history_is_gone_from_every_list_at_once(stage: Stage) -> None:
    ended = await ended_job(stage)
    stage.archive.jobs["ann"] = [past(1, 1000), past(2, 1001)]
    paths = ("/history", "/jobs", f"/history/{ended}", "/history/past-1")
    for path in paths:
        await stage.get(path)
    await stage.call("POST", "/history", "ann", json={"delete": ["past-1"]})
    assert list(await stage.get("/history")) == ["past-2", ended]
    assert await stage.get("/history/past-1") == {}
    assert (await stage.get("/jobs"))["pagination"]["total"] == 2
    await stage.call("POST", "/history", "ann", json={"clear": True})
    assert await stage.get("/history") == {}
    assert await stage.get(f"/history/{ended}") == {}
    assert (await stage.get("/jobs"))["jobs"] == []


async def test_a_job_is_always_in_queue_or_history_while_it_runs_and_ends(stage: Stage) -> None:
    jobs = [await stage.queue() for _ in range(12)]
    wanted = {job.prompt_id for job in jobs}
    over = asyncio.Event()

    async def poll() -> int:
        """In one list after the other; what has left the first must be in the second."""
        looks = 0
        while not over.is_set():
            queue = await stage.get("/queue")
            listed = {item[1] for part in queue.values() for item in part}
            history = await stage.get("/history")
            assert listed | set(history) >= wanted
            for prompt_id in wanted - listed:
                assert prompt_id in await stage.get(f"/history/{prompt_id}")
            looks += 1
        return looks

    async def poll_jobs() -> int:
        """In one answer: each job once."""
        looks = 0
        while not over.is_set():
            answer = await stage.get("/jobs")
            assert sorted(job["id"] for job in answer["jobs"]) == sorted(wanted)
            assert answer["pagination"]["total"] == len(wanted)
            looks += 1
        return looks

    async def work() -> None:
        for job in jobs:
            await stage.settle(await stage.start(job))
        over.set()

    async with asyncio.timeout(60):
        *looks, _ = await asyncio.gather(poll(), poll(), poll_jobs(), work())
    assert all(looks)


@pytest.mark.parametrize("path", ["/queue", "/history", "/jobs"])
async def test_lists_answer_head_as_they_answer_get(stage: Stage, path: str) -> None:
    await submit(stage, 1)
    headers = {"X-Test-User": "ann"}
    async with stage.client.get(path, headers=headers) as got:
        length = got.headers["Content-Length"]
    async with stage.client.head(path, headers=headers) as asked:
        assert (asked.status, asked.headers["Content-Length"]) == (200, length)
