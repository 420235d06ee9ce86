"""Jobs that are stopped, held, late, hung or lost, as their users see it."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import aiohttp
import pytest

from scheduler.redis_ledger import RedisLedger
from scheduler.states import TERMINAL, FailReason, Job, JobState, WorkerState
from tests.clients import Client, image_prompt, sampling_prompt
from tests.endtoend.conftest import ADA, ANN, BOB, KEYS
from tests.endtoend.stack import Stack

T = TypeVar("T")
#: Everything that waits for silence waits for seconds only; but for more of them than a busy
#: machine lets a process wait.
IMPATIENT = KEYS + "scheduler: {lease: 10s, heartbeat: 10s, no_progress: 12s, max_losses: 3}\n"


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does nothing for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def for_ever(seed: int) -> dict[str, Any]:
    """Minutes of sampling on the simulated card, telling each step."""
    return sampling_prompt(seed=seed, steps=10_000)


class Studio:
    """A stack with one worker, its books, and three people."""

    def __init__(self, stack: Stack, ledger: RedisLedger, http: aiohttp.ClientSession) -> None:
        self.stack, self.ledger = stack, ledger
        self.ann = Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})
        self.bob = Client(http, stack.url, {"Authorization": f"Bearer {BOB}"})
        self.ada = Client(http, stack.url, {"Authorization": f"Bearer {ADA}"})
        self.seeds = iter(range(int(time.time()), 2**62))

    async def until(self, look: Callable[[], Awaitable[T | None]], within_s: float = 60) -> T:
        async with asyncio.timeout(within_s):
            while not (found := await look()):
                await asyncio.sleep(0.03)
            return found

    async def job(self, prompt_id: str, user: str = "ann") -> Job:
        found = await self.ledger.find(user, prompt_id)
        assert found is not None
        return found

    async def until_state(self, prompt_id: str, *states: JobState, user: str = "ann") -> Job:
        async def there() -> Job | None:
            found = await self.job(prompt_id, user)
            return found if found.state in states else None

        return await self.until(there)

    async def until_ended(self, prompt_id: str, user: str = "ann") -> Job:
        return await self.until_state(prompt_id, *TERMINAL, user=user)

    async def occupy(self, client: Client) -> str:
        """Start something that keeps the worker busy until it is cancelled."""
        prompt_id = await client.queue(for_ever(next(self.seeds)))
        user = "bob" if client is self.bob else "ann"
        await self.until_state(prompt_id, JobState.RUNNING, user=user)
        return prompt_id

    async def picture(self, client: Client, **more: Any) -> str:
        return await client.queue(image_prompt(next(self.seeds) % 0xFFFFFF), **more)

    async def act(self, client: Client, prompt_id: str, action: str) -> tuple[int, Any]:
        answer = await client.post(f"/dashboard/api/v1/jobs/{prompt_id}/{action}", None)
        return answer.status, await answer.json()

    async def serves(self) -> None:
        """The worker runs jobs."""
        prompt_id = await self.picture(self.ann)
        assert (await self.until_ended(prompt_id)).state is JobState.SUCCEEDED

    async def clear(self) -> None:
        for user in ("ann", "bob"):
            for job in await self.ledger.unfinished(user):
                await self.ledger.cancel(user, job.id)

        async def idle() -> bool:
            pool = await self.ledger.pool()
            workers = pool.workers.values()
            return all(one.state is WorkerState.READY and not one.job for one in workers)

        await self.until(idle)


@pytest.fixture(scope="module")
def impatient(start: Callable[..., Stack]) -> Stack:
    return start("--simulate", "gpus=1,vram=24GiB,workers=1,speed=1", config=IMPATIENT)


@pytest.fixture
async def studio(impatient: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Studio]:
    ledger = RedisLedger.connect(impatient.state()["redis"], "default")
    studio = Studio(impatient, ledger, http)
    yield studio
    await studio.clear()
    await ledger.close()


def error_of(frames: list[dict[str, Any]], prompt_id: str) -> dict[str, Any]:
    (error,) = (f["data"] for f in frames if f["type"] == "execution_error")
    assert error["prompt_id"] == prompt_id
    assert error["timestamp"] > 0
    found: dict[str, Any] = error
    return found


# ── cancelling, in every state ───────────────────────────────────────────────


async def test_queued_and_held_jobs_are_cancelled_at_once(studio: Studio) -> None:
    await studio.occupy(studio.ann)
    queued, held = [await studio.picture(studio.ann) for _ in range(2)]
    assert (await studio.act(studio.ann, held, "hold"))[0] == 200
    for prompt_id in (queued, held):
        status, answer = await studio.act(studio.ann, prompt_id, "cancel")
        assert (status, answer["state"]) == (200, "CANCELLED")
    assert await studio.ann.get(f"/history/{queued}") == {}


async def test_a_reserved_job_is_cancelled_before_its_agent_hears_of_it(studio: Studio) -> None:
    with frozen(studio.stack.pids()["agent"]):
        prompt_id = await studio.picture(studio.ann)
        await studio.until_state(prompt_id, JobState.RESERVED)
        status, answer = await studio.act(studio.ann, prompt_id, "cancel")
        assert (status, answer["state"]) == (200, "CANCELLED")
    await studio.serves()
    assert (await studio.job(prompt_id)).state is JobState.CANCELLED


async def test_a_running_job_is_interrupted_and_its_user_told(studio: Studio) -> None:
    async with studio.ann.socket() as socket:
        prompt_id = await studio.occupy(studio.ann)
        status, answer = await studio.act(studio.ann, prompt_id, "cancel")
        assert (status, answer["state"]) == (200, "CANCELLING")
        frames = await socket.until_done(prompt_id)
    assert "execution_interrupted" in [frame["type"] for frame in frames]
    assert (await studio.until_ended(prompt_id)).state is JobState.CANCELLED
    await studio.serves()


async def test_cancelling_twice_is_the_same_as_once(studio: Studio) -> None:
    prompt_id = await studio.occupy(studio.ann)
    (worker,) = studio.stack.workers()
    with frozen(worker):
        assert (await studio.act(studio.ann, prompt_id, "cancel"))[1]["changed"]
        status, answer = await studio.act(studio.ann, prompt_id, "cancel")
        assert (status, answer["state"], answer["changed"]) == (200, "CANCELLING", False)
        # ComfyUI's own route says the same
        assert (await studio.ann.post("/interrupt", {"prompt_id": prompt_id})).status == 200
    assert (await studio.until_ended(prompt_id)).state is JobState.CANCELLED
    await studio.serves()


# ── waiting ──────────────────────────────────────────────────────────────────


async def test_a_deadline_that_passes_in_the_queue_is_told_as_an_error(studio: Studio) -> None:
    await studio.occupy(studio.bob)
    async with studio.ann.socket() as socket:
        late = await studio.picture(
            studio.ann, extra_data={"vramgate": {"deadline_s": 1, "accept_late": True}}
        )
        frames = await socket.until_done(late)
    error = error_of(frames, late)
    assert error["exception_type"] == "vramgate.expired"
    assert "deadline" in error["exception_message"]
    ended = await studio.job(late)
    assert (ended.state, ended.reason) == (JobState.FAILED, FailReason.EXPIRED)
    entry = (await studio.ann.get(f"/history/{late}"))[late]
    assert entry["status"]["status_str"] == "error"


async def test_held_jobs_wait_and_moved_ones_start_in_their_new_order(studio: Studio) -> None:
    running = await studio.occupy(studio.bob)
    first, second, third = [await studio.picture(studio.ann) for _ in range(3)]
    assert (await studio.act(studio.ann, first, "hold"))[0] == 200
    assert (await studio.act(studio.ann, third, "front"))[0] == 200
    pending = (await studio.ann.get("/queue"))["queue_pending"]
    assert sorted(item[1] for item in pending) == sorted([first, second, third])
    seen = await studio.ann.get("/api/jobs", status="pending")
    assert {job["id"] for job in seen["jobs"]} == {first, second, third}
    await studio.act(studio.bob, running, "cancel")
    ended = [await studio.until_ended(prompt_id) for prompt_id in (third, second)]
    assert ended[0].started_ms <= ended[1].started_ms
    held = await studio.job(first)
    assert (held.state, held.held) == (JobState.QUEUED, True)
    assert (await studio.ann.get("/prompt"))["exec_info"]["queue_remaining"] == 1
    await studio.act(studio.ann, first, "unhold")
    assert (await studio.until_ended(first)).state is JobState.SUCCEEDED


async def test_nobody_elses_job_is_changed_and_no_foreign_page_changes_any(studio: Studio) -> None:
    prompt_id = await studio.occupy(studio.bob)
    assert (await studio.act(studio.ann, prompt_id, "cancel"))[0] == 404
    assert (await studio.act(studio.ada, prompt_id, "cancel"))[0] == 404
    url = f"{studio.stack.url}/dashboard/api/v1/jobs/{prompt_id}/cancel"
    # a browser repeats Basic by itself, whoever's page makes the request
    basic = base64.b64encode(f"bob:{BOB}".encode()).decode()
    foreign = {"Origin": "http://evil.example", "Authorization": f"Basic {basic}"}
    async with studio.bob.http.post(url, headers=foreign) as answer:
        assert answer.status == 403
    assert (await studio.job(prompt_id, "bob")).state is JobState.RUNNING
    answer = await studio.ada.post(f"/dashboard/api/v1/jobs/{prompt_id}/cancel?user=bob", None)
    assert answer.status == 200
    assert (await studio.until_ended(prompt_id, "bob")).state is JobState.CANCELLED


# ── hung and lost ────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_a_hung_worker_fails_its_job_and_serves_the_next_one(studio: Studio) -> None:
    (worker,) = studio.stack.workers()
    async with studio.ann.socket() as socket:
        prompt_id = await studio.occupy(studio.ann)
        # frozen before it has answered the post it would be waited for a minute
        await socket.until_at_work(prompt_id)
        os.kill(worker, signal.SIGSTOP)
        frames = await socket.until_done(prompt_id, within_s=60)
    assert error_of(frames, prompt_id)["exception_type"] == "vramgate.hung"
    ended = await studio.job(prompt_id)
    assert (ended.reason, ended.attempt) == (FailReason.HUNG, 1)
    await studio.serves()
    assert studio.stack.workers() != [worker]
    assert (await studio.job(prompt_id)).attempt == 1


@pytest.mark.slow
async def test_a_job_under_which_the_worker_dies_three_times_is_poison(studio: Studio) -> None:
    async with studio.ann.socket() as socket:
        prompt_id = await studio.occupy(studio.ann)
        for loss in range(3):
            await studio.until_state(prompt_id, JobState.RUNNING)
            (worker,) = studio.stack.workers()
            os.kill(worker, signal.SIGKILL)

            async def is_lost(number: int = loss + 1) -> bool:
                return (await studio.job(prompt_id)).losses == number

            await studio.until(is_lost)
        frames = await socket.until_done(prompt_id)
    assert error_of(frames, prompt_id)["exception_type"] == "vramgate.poison"
    ended = await studio.job(prompt_id)
    assert (ended.state, ended.reason) == (JobState.FAILED, FailReason.POISON)
    await studio.serves()


@pytest.mark.slow
async def test_an_agent_that_was_frozen_is_fenced_and_serves_again(studio: Studio) -> None:
    prompt_id = await studio.occupy(studio.ann)
    with frozen(studio.stack.pids()["agent"]):
        back = await studio.until_state(prompt_id, JobState.QUEUED)
        assert (back.losses, back.attempt) == (1, 1)
        assert (await studio.act(studio.ann, prompt_id, "hold"))[0] == 200
    # what it finds running is nobody's any more: the worker is free for others
    await studio.serves()
    assert (await studio.job(prompt_id)).losses == 1
    await studio.act(studio.ann, prompt_id, "unhold")
    again = await studio.until_state(prompt_id, JobState.RUNNING)
    assert again.attempt == 2
    await studio.act(studio.ann, prompt_id, "cancel")
    assert (await studio.until_ended(prompt_id)).state is JobState.CANCELLED


@pytest.fixture(scope="module")
def stern(start: Callable[..., Stack]) -> Stack:
    rules = "quarantine_failures: 2, quarantine: 15s, preemption: true"
    config = IMPATIENT.replace("max_losses: 3", rules)
    return start("--simulate", "gpus=1,vram=24GiB,workers=1,speed=1", config=config)


@pytest.fixture
async def strict(stern: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Studio]:
    """A studio in which two failures in a row are too many, and batch jobs make room."""
    ledger = RedisLedger.connect(stern.state()["redis"], "default")
    studio = Studio(stern, ledger, http)
    yield studio
    await studio.clear()
    await ledger.close()


async def test_a_batch_job_makes_room_for_somebody_who_watches(strict: Studio) -> None:
    graph, batch = for_ever(next(strict.seeds)), {"vramgate": {"lane": "batch"}}
    async with strict.bob.socket() as socket:
        prompt_id = await strict.bob.queue(graph, extra_data=batch)
        await strict.until_state(prompt_id, JobState.RUNNING, user="bob")
        await strict.serves()
        again = await strict.until_state(prompt_id, JobState.RUNNING, user="bob")
        assert (again.attempt, again.preemptions, again.losses) == (2, 1, 0)
        # once is enough for any job
        waiting = await strict.picture(strict.ann)
        await strict.act(strict.bob, prompt_id, "cancel")
        frames = await socket.until_done(prompt_id)
    assert [f["type"] for f in frames].count("execution_interrupted") == 1
    ended = await strict.job(prompt_id, "bob")
    assert (ended.state, ended.attempt) == (JobState.CANCELLED, 2)
    assert (await strict.until_ended(waiting)).state is JobState.SUCCEEDED


@pytest.mark.slow
async def test_a_worker_that_fails_again_and_again_rests_and_finds_its_way_back(
    strict: Studio,
) -> None:
    for client, user in ((strict.ann, "ann"), (strict.bob, "bob")):
        prompt_id = await strict.occupy(client)
        (worker,) = strict.stack.workers()
        # else it might run again before it is held
        with frozen(strict.stack.pids()["scheduler"]):
            os.kill(worker, signal.SIGKILL)
            lost = await strict.until_state(prompt_id, JobState.QUEUED, user=user)
            await strict.act(client, prompt_id, "hold")
        assert lost.losses == 1

    async def failures() -> list[int]:
        return [one.failures for one in (await strict.ledger.pool()).workers.values()]

    assert await failures() == [2]
    waiting = await strict.picture(strict.ann)

    async def is_told() -> bool:
        found = await strict.job(waiting)
        return found.state is JobState.QUEUED and "in a row" in found.wait_detail

    await strict.until(is_told)
    # after its rest the worker gets one job to show that it works
    assert (await strict.until_ended(waiting)).state is JobState.SUCCEEDED
    assert await failures() == [0]
