"""Redis is killed and comes back without its last moments: agents say again what they know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.valkey import EmbeddedValkey
from scheduler.ledger import Claimed, Refusal
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, NewJob
from tests.integration.worker_agent.bed import Bed, fake_spec, make_agent, running

HELD: dict[str, Any] = {"1": {"class_type": "Held", "inputs": {}}}


class Forgetful(EmbeddedValkey):
    """A server of the test's own that can be made to forget."""

    marked = 0

    def _log(self) -> Path:
        return next(self.data_dir.glob("appendonlydir/*.incr.aof"))

    def mark(self) -> None:
        """What comes after this will be lost."""
        self.marked = self._log().stat().st_size

    def die_and_come_back(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        with self._log().open("r+b") as log:
            log.truncate(self.marked)
        self.start()


class MarkingLedger(RedisLedger):
    """The real ledger, which marks the server's log just before each claim."""

    server_of: Forgetful | None = None
    #: done once, when the agent first sees another life of the server
    on_new_life: Callable[[], Awaitable[object]] | None = None
    _life = ""

    async def run_id(self) -> str:
        found = await super().run_id()
        if self._life not in ("", found) and self.on_new_life is not None:
            await self.on_new_life()
            self.on_new_life = None
        self._life = found
        return found

    async def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        if self.server_of is not None:
            self.server_of.mark()
            self.server_of = None
        return await super().claim(job_id, attempt, worker, attempt_uuid, sid, lease_ms)


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Forgetful]:
    # each command is on disk before it is answered, so that marks are exact
    with Forgetful(tmp_path / "valkey", options={"appendfsync": "always"}) as server:
        yield server


@dataclass
class Scene:
    server: Forgetful
    ledger: MarkingLedger
    bed: Bed
    go: Callable[[], None]

    async def start(self, graph: dict[str, Any] = HELD) -> NewJob:
        job = await self.bed.start(graph)
        await self.bed.running(job.id)
        return job

    async def posted(self) -> int:
        return len((await self.bed.seen())["prompts"])


@pytest.fixture
async def scene(
    forgetful: Forgetful, tmp_path: Path, go: Callable[[], None]
) -> AsyncIterator[Scene]:
    ledger = MarkingLedger.connect(forgetful.url, "pool")
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        yield Scene(forgetful, ledger, bed, go)
    await ledger.close()


async def test_a_claim_that_was_lost_is_made_again_and_the_prompt_runs_on(scene: Scene) -> None:
    scene.ledger.server_of = scene.server
    job = await scene.start()
    scene.server.die_and_come_back()
    assert (await scene.bed.job(job.id)).state is not JobState.QUEUED
    await scene.bed.until_state(job.id, JobState.RUNNING)
    scene.go()
    ended = await scene.bed.until_ended(job.id)
    assert (ended.state, ended.attempt, ended.losses) == (JobState.SUCCEEDED, 1, 0)
    assert await scene.posted() == 1


async def test_an_end_that_was_lost_is_told_again(scene: Scene) -> None:
    job = await scene.start()
    scene.server.mark()
    scene.go()
    await scene.bed.until_ended(job.id)
    scene.server.die_and_come_back()
    ended = await scene.bed.until_ended(job.id)
    assert (ended.state, ended.attempt, ended.losses) == (JobState.SUCCEEDED, 1, 0)
    assert len(await scene.bed.settlements(job.id)) == 1
    assert await scene.posted() == 1


async def test_a_picture_whose_name_was_lost_and_given_away_gets_another(scene: Scene) -> None:
    save = {"class_type": "SaveImage", "inputs": {"filename_prefix": "p"}}
    job = await scene.start({**HELD, "2": save})
    scene.server.mark()
    scene.go()
    await scene.bed.until_ended(job.id)
    ledger, theirs = scene.ledger, ("output", "vg/ann", "p_00001_.png")
    # another worker has a file of that name, too
    ledger.on_new_life = lambda: ledger.name_files("ann", "host", "host-9", [theirs])
    scene.server.die_and_come_back()
    await scene.bed.until_ended(job.id)
    outputs = (await scene.bed.result(job.id))["outputs"]
    (image,) = outputs["2"]["images"]
    assert image["filename"] == "p_00002_.png"
    record = await ledger.file("ann", "output", "", "p_00002_.png")
    assert record is not None
    assert (record.worker, record.worker_filename) == ("host-0", "p_00001_.png")


async def test_what_nobody_knows_any_more_is_interrupted_and_runs_anew(scene: Scene) -> None:
    job = await scene.bed.submit(HELD)
    scene.server.mark()
    await scene.bed.admit(job.id)
    await scene.bed.running(job.id)
    scene.server.die_and_come_back()
    assert (await scene.bed.job(job.id)).state is JobState.QUEUED

    async def is_interrupted() -> bool:
        return bool((await scene.bed.seen())["interrupts"] == [job.id])

    await scene.bed.until(is_interrupted)
    scene.go()
    # to the ledger this is the first attempt again
    await scene.bed.admit(job.id)
    ended = await scene.bed.until_ended(job.id)
    assert (ended.state, ended.attempt, ended.losses) == (JobState.SUCCEEDED, 1, 0)
    prompts = [body["prompt_id"] for body in (await scene.bed.seen())["prompts"]]
    assert len(set(prompts)) == 2


async def test_a_job_that_is_forgotten_altogether_leaves_its_worker_free(scene: Scene) -> None:
    scene.server.mark()
    job = await scene.start()
    scene.server.die_and_come_back()

    async def is_idle() -> bool:
        seen = await scene.bed.seen()
        return seen["interrupts"] == [job.id] and seen["idle"]

    await scene.bed.until(is_idle)
    scene.go()
    following = await scene.bed.start(HELD)
    assert (await scene.bed.until_ended(following.id)).state is JobState.SUCCEEDED
