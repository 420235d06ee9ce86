"""Queue, history and jobs of a group that shares them: to look at, not to touch."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Role, Settings
from scheduler.states import JobState
from tests.integration.gateway_prompt.stage import PATIENCE_S, Stage, remaining
from tests.integration.gateway_prompt.test_own_jobs import finish, past


@pytest.fixture(autouse=True)
def shared(stage: Stage) -> None:
    """Ann, mia and vic share; bob does not."""
    share(stage)


def share(stage: Stage, **film: Any) -> None:
    names = ("ann", "mia", "vic")
    users = [{"name": name, "group": "film"} for name in names] + [{"name": "bob"}]
    groups = [{"name": "film", "share_queue": True, **film}]
    stage.settings = Settings.model_validate({"users": users, "groups": groups})
    stage.roles["vic"] = Role.VIEWER


def listed(queue: Any, key: str) -> list[str]:
    return [item[1] for item in queue[key]]


async def test_the_queue_lists_ones_own_prompts_first_then_the_mates(stage: Stage) -> None:
    theirs = [await stage.queue("mia") for _ in range(2)]
    running = await stage.start(theirs[0])
    own = await stage.queue("ann")
    queue = await stage.get("/queue")
    assert listed(queue, "queue_running") == [running.id]
    assert listed(queue, "queue_pending") == [own.prompt_id, theirs[1].id]
    assert queue["queue_pending"][0][3] == {"client_id": "tab"}
    assert queue["queue_pending"][1][3] == {"vramgate": {"user": "mia"}}
    assert await stage.get("/queue?max_items=1&offset=1") == {
        "queue_running": queue["queue_running"],
        "queue_pending": queue["queue_pending"][1:],
    }
    assert await stage.get("/queue", "vic") != await stage.get("/queue", "bob")
    assert await stage.get("/queue", "bob") == {"queue_running": [], "queue_pending": []}


async def test_a_change_of_a_mates_shows_at_the_next_question(stage: Stage) -> None:
    assert listed(await stage.get("/queue"), "queue_pending") == []
    job = await stage.queue("mia")
    assert listed(await stage.get("/queue"), "queue_pending") == [job.id]
    await stage.post("/queue", {"clear": True}, "mia")
    assert listed(await stage.get("/queue"), "queue_pending") == []


async def test_only_ones_own_prompts_count(stage: Stage) -> None:
    await stage.queue("mia")
    assert (await stage.get("/prompt"))["exec_info"]["queue_remaining"] == 0
    async with stage.client.ws_connect("/ws?clientId=t", headers={"X-Test-User": "ann"}) as socket:
        assert remaining(await socket.receive_json(timeout=PATIENCE_S)) == 0


async def test_the_history_is_ordered_by_when_prompts_ended(stage: Stage) -> None:
    jobs = [await finish(stage, user) for user in ("ann", "mia", "ann", "mia")]
    names = [job.prompt_id if job.user == "ann" else job.id for job in jobs]
    stage.archive.jobs["mia"] = [past(1, ended_ms=1000)]
    assert list(await stage.get("/history")) == ["job-1", *names]
    assert list(await stage.get("/history?max_items=3")) == names[1:]
    assert list(await stage.get("/history?offset=1&max_items=2")) == names[:2]
    assert list(await stage.get("/history?offset=4")) == names[3:]
    assert await stage.get("/history", "bob") == {}
    assert list(await stage.get("/history/job-1")) == ["job-1"]
    for name in names:
        entry = (await stage.get(f"/history/{name}"))[name]
        assert entry == (await stage.get("/history"))[name]
        assert entry["prompt"][1] == name
        assert await stage.get(f"/history/{name}", "bob") == {}


async def test_what_a_mate_has_dropped_from_its_history_is_gone(stage: Stage) -> None:
    job = await finish(stage, "mia")
    await stage.post("/history", {"delete": [job.prompt_id]}, "mia")
    assert await stage.get("/history") == {}
    assert await stage.get(f"/history/{job.id}") == {}
    assert (await stage.call("GET", f"/jobs/{job.id}", "ann"))[0] == 404


async def test_jobs_of_all_are_sorted_counted_and_paged_together(stage: Stage) -> None:
    ended = [await finish(stage, user) for user in ("mia", "ann", "mia")]
    waiting = await stage.queue("mia")
    stage.archive.jobs["mia"] = [past(1, ended_ms=1000)]
    names = ["job-1", *(job.prompt_id if job.user == "ann" else job.id for job in ended)]
    names.append(waiting.id)
    whole = await stage.get("/jobs?sort_order=asc")
    assert [job["id"] for job in whole["jobs"]] == names
    assert whole["pagination"]["total"] == 5
    second = await stage.get("/jobs?sort_order=asc&limit=2&offset=2")
    assert [job["id"] for job in second["jobs"]] == names[2:4]
    assert second["pagination"] == {"offset": 2, "limit": 2, "total": 5, "has_more": True}
    for name, shown in zip(names, whole["jobs"], strict=True):
        one = await stage.get(f"/jobs/{name}")
        assert {key: one[key] for key in shown} == shown
    assert (await stage.get("/jobs", "bob"))["jobs"] == []
    assert (await stage.call("GET", f"/jobs/{waiting.id}", "bob"))[0] == 404


async def test_nobody_stops_cancels_or_drops_a_mates_prompt(stage: Stage) -> None:
    ended = await finish(stage, "mia")
    running = await stage.start(await stage.queue("mia"))
    pending = await stage.queue("mia")
    named = [job.id for job in (ended, running, pending)]
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
        status, answer = await stage.call("POST", path, "ann", json=body)
        assert status == 200
        assert answer in (None, {"cancelled": False})
    for action in ("hold", "unhold", "front", "back", "cancel"):
        for one in named:
            path = f"/dashboard/api/v1/jobs/{one}/{action}"
            assert (await stage.call("POST", path, "ann"))[0] == 404
    states = [job.state for job in await stage.ledger.unfinished("mia")]
    assert states == [JobState.RUNNING, JobState.QUEUED]
    assert ended.prompt_id in await stage.get("/history", "mia")


async def test_a_prompt_that_is_called_as_a_mates_is_ones_own(stage: Stage) -> None:
    theirs = await finish(stage, "mia")
    own = await stage.queue("ann", prompt_id=theirs.id)
    assert await stage.get(f"/history/{theirs.id}") == {}
    assert (await stage.get(f"/jobs/{theirs.id}"))["status"] == "pending"
    await stage.settle(await stage.start(own))
    entry = (await stage.get(f"/history/{theirs.id}"))[theirs.id]
    assert entry["outputs"] == {"2": {"text": ["ann"]}}
    status, text = await raw(stage, "/history")
    assert (status, text.count(f'"{theirs.id}":')) == (200, 1)
    assert (await stage.get("/history"))[theirs.id] == entry


async def raw(stage: Stage, path: str) -> tuple[int, str]:
    answer = await stage.client.get(path, headers={"X-Test-User": "ann"})
    return answer.status, await answer.text()


async def test_a_prompt_id_that_a_mate_chose_tells_nobody_else_anything(stage: Stage) -> None:
    job = await stage.queue("mia", prompt_id="shot-7-of-the-client")
    await stage.settle(await stage.start(job))
    for path in ("/queue", "/history", "/jobs", f"/history/{job.id}", f"/jobs/{job.id}"):
        assert "shot-7-of-the-client" not in (await raw(stage, path))[1]
    assert await stage.get("/history/shot-7-of-the-client") == {}


@pytest.mark.parametrize("odd", ["a%3Ab", "a%20b", "..", "x" * 300, "%00", "*"])
async def test_ids_that_are_none_find_nothing(stage: Stage, odd: str) -> None:
    await finish(stage, "mia")
    status, _ = await stage.call("GET", f"/jobs/x{odd}", "ann")
    assert status == 404


async def test_sight_ends_with_the_setting(stage: Stage) -> None:
    job = await finish(stage, "mia")
    assert list(await stage.get("/history")) == [job.id]
    share(stage, share_queue=False, share_outputs=True)
    assert await stage.get("/history") == {}
    assert await stage.get(f"/history/{job.id}") == {}
    assert (await stage.get("/jobs"))["jobs"] == []
