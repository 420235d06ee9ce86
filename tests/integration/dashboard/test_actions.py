"""Job control over HTTP: one's own jobs, an admin's hand, and nobody else's."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from config.settings import Role, Settings
from dashboard.actions import ACTIONS
from dashboard.app import build
from dashboard.sampler import LIVE_SECONDS
from scheduler.ledger import Admitted, Claimed, Grant, Submitted
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, NewJob
from tests.factories import GIB, new_job, outcome, report


def _who(request: web.Request) -> tuple[str, Role]:
    return request.headers["X-User"], Role(request.headers.get("X-Role", "artist"))


@dataclass
class Desk:
    """Two people's jobs, and whoever asks for something."""

    ledger: MemoryLedger
    base: str
    http: ClientSession
    epoch: int

    async def submit(self, user: str = "ann", **changes: Any) -> NewJob:
        job = new_job(user, **changes)
        assert isinstance(await self.ledger.submit(job, b"{}", max_queued=None), Submitted)
        return job

    async def run(self, job: NewJob) -> int:
        seen = await self.ledger.snapshot(100)
        (queued,) = (one for line in seen.backlogs for one in line.jobs if one.id == job.id)
        grant = Grant(bytes=4 * GIB, capacity_bytes=24 * GIB)
        admitted = await self.ledger.admit(self.epoch, queued, seen.workers[0], grant, 60_000)
        assert isinstance(admitted, Admitted)
        claimed = await self.ledger.claim(
            job.id, admitted.attempt, seen.workers[0].id, "uuid", "sid", 60_000
        )
        assert isinstance(claimed, Claimed)
        return admitted.attempt

    async def ask(
        self,
        job: NewJob | str,
        action: str,
        user: str = "ann",
        role: str = "artist",
        query: str = "",
    ) -> tuple[int, dict[str, Any]]:
        prompt_id = job if isinstance(job, str) else job.prompt_id
        async with self.http.post(
            f"{self.base}/dashboard/api/v1/jobs/{prompt_id}/{action}{query}",
            headers={"X-User": user, "X-Role": role},
        ) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, await answer.json()

    async def order(self, user: str = "ann") -> list[str]:
        return [job.id for job in await self.ledger.unfinished(user)]

    async def state(self, job: NewJob) -> tuple[JobState, bool]:
        found = await self.ledger.find(job.user, job.prompt_id)
        assert found is not None
        return found.state, found.held


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    calls = itertools.count()
    ledger = MemoryLedger(Books(lambda: 1_000_000, lambda: str(next(calls))))
    await ledger.report(report())
    epoch = await ledger.lead("test", 60_000)
    assert epoch is not None
    outer = web.Application()
    outer.add_subapp("/dashboard", build(ledger, Settings, _who))
    async with TestServer(outer) as server, ClientSession() as http:
        yield Desk(ledger, str(server.make_url("")).rstrip("/"), http, epoch)


async def test_a_held_job_stays_queued_and_starts_no_sooner_than_its_user_wants(desk: Desk) -> None:
    job = await desk.submit()
    assert await desk.ask(job, "hold") == (
        200,
        {"prompt_id": job.prompt_id, "state": "QUEUED", "changed": True},
    )
    assert await desk.state(job) == (JobState.QUEUED, True)
    assert [line.jobs for line in (await desk.ledger.snapshot(10)).backlogs if line.jobs] == []
    # asked twice, it is as it was asked to be
    assert (await desk.ask(job, "hold"))[0] == 200
    assert (await desk.ask(job, "unhold"))[0] == 200
    assert await desk.state(job) == (JobState.QUEUED, False)


async def test_front_and_back_move_within_ones_own_jobs(desk: Desk) -> None:
    theirs = await desk.submit("bob")
    a, b, c = [await desk.submit() for _ in range(3)]
    assert (await desk.ask(c, "front"))[0] == 200
    assert await desk.order() == [c.id, a.id, b.id]
    assert (await desk.ask(a, "back"))[0] == 200
    assert await desk.order() == [c.id, b.id, a.id]
    assert await desk.order("bob") == [theirs.id]


async def test_cancel_takes_queued_and_running_jobs(desk: Desk) -> None:
    queued, held, running = [await desk.submit() for _ in range(3)]
    await desk.ask(held, "hold")
    await desk.run(running)
    for job, state in ((queued, "CANCELLED"), (held, "CANCELLED"), (running, "CANCELLING")):
        status, answer = await desk.ask(job, "cancel")
        assert (status, answer["state"], answer["changed"]) == (200, state, True)
    assert (await desk.ask(running, "cancel"))[1]["changed"] is False


@pytest.mark.parametrize("action", ["hold", "front", "back"])
async def test_what_runs_is_no_longer_queued(desk: Desk, action: str) -> None:
    job = await desk.submit()
    await desk.run(job)
    status, answer = await desk.ask(job, action)
    assert (status, answer["state"]) == (409, "RUNNING")
    assert "no longer queued" in answer["error"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_nothing_can_be_done_to_a_job_that_has_ended(desk: Desk, action: str) -> None:
    job = await desk.submit()
    await desk.ledger.settle(job.id, await desk.run(job), outcome())
    status, answer = await desk.ask(job, action)
    assert (status, answer["state"]) == (409, "SUCCEEDED")


@pytest.mark.parametrize("action", ACTIONS)
async def test_nobody_touches_or_learns_of_anybody_elses_job(desk: Desk, action: str) -> None:
    job, behind = await desk.submit("bob"), await desk.submit("bob")
    before = [await desk.state(one) for one in (job, behind)]
    unknown = await desk.ask("no-such-job", action)
    assert unknown[0] == 404
    # the very same answer as for a job that is nowhere
    assert await desk.ask(job, action) == unknown
    # whether it exists is not even looked up
    named = await desk.ask(job, action, query="?user=bob")
    assert named == await desk.ask("no-such-job", action, query="?user=bob")
    assert named[0] == 403
    assert [await desk.state(one) for one in (job, behind)] == before
    assert await desk.order("bob") == [job.id, behind.id]


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_viewer_changes_nothing(desk: Desk, action: str) -> None:
    job = await desk.submit("eve")
    assert (await desk.ask(job, action, "eve", "viewer"))[0] == 403
    assert await desk.state(job) == (JobState.QUEUED, False)


async def test_an_admin_changes_anybodys_job_by_name(desk: Desk) -> None:
    first, second = await desk.submit("bob"), await desk.submit("bob")
    # without a name it would be the admin's own
    assert (await desk.ask(first, "hold", "root", "admin"))[0] == 404
    assert (await desk.ask(first, "hold", "root", "admin", "?user=bob"))[0] == 200
    assert await desk.state(first) == (JobState.QUEUED, True)
    assert (await desk.ask(second, "front", "root", "admin", "?user=bob"))[0] == 200
    assert (await desk.ask(second, "cancel", "root", "admin", "?user=bob"))[0] == 200


async def test_other_words_and_methods_lead_nowhere(desk: Desk) -> None:
    job = await desk.submit()
    path = f"{desk.base}/dashboard/api/v1/jobs/{job.prompt_id}"
    async with desk.http.post(f"{path}/explode", headers={"X-User": "ann"}) as answer:
        assert answer.status == 404
    async with desk.http.get(f"{path}/cancel", headers={"X-User": "ann"}) as answer:
        assert answer.status == 405
    assert await desk.state(job) == (JobState.QUEUED, False)


async def test_a_clients_own_prompt_id_may_be_anything_printable(desk: Desk) -> None:
    job = await desk.submit(prompt_id="my/own id?")
    assert (await desk.ask("my%2Fown%20id%3F", "hold"))[0] == 200
    assert (await desk.state(job))[1]


async def test_a_ledger_out_of_reach_is_said_plainly() -> None:
    nowhere = RedisLedger.connect("redis://127.0.0.1:1", "none")
    outer = web.Application()
    outer.add_subapp("/dashboard", build(nowhere, Settings, _who))
    async with TestServer(outer) as server, ClientSession() as http:
        url = server.make_url("/dashboard/api/v1/jobs/x/cancel")
        async with http.post(url, headers={"X-User": "ann"}) as answer:
            assert answer.status == 503
            assert "Redis" in (await answer.json())["error"]
    await nowhere.close()


async def test_held_jobs_are_shown_with_the_others_that_wait(desk: Desk) -> None:
    held = await desk.submit()
    theirs = await desk.submit("bob")
    await desk.ask(held, "hold")
    await desk.ask(theirs, "hold", "bob")
    # askers within half a second share one reading of the ledger
    await asyncio.sleep(LIVE_SECONDS)
    url = f"{desk.base}/dashboard/api/v1/overview"
    async with desk.http.get(url, headers={"X-User": "ann"}) as answer:
        seen = await answer.json()
    (row,) = seen["waiting"]
    assert (row["prompt_id"], row["wait_reason"]) == (held.prompt_id, "held")
    assert seen["queue"][0] == {"user": "ann", "queued": 1, "running": 0}
    assert theirs.prompt_id not in json.dumps(seen)
    assert seen["totals"]["queued"] == 2
