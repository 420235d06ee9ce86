"""The scheduler's loop on a real ledger."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cli.valkey import EmbeddedValkey
from config.settings import Settings
from scheduler.ledger import Claimed, Ending, LedgerUnavailable
from scheduler.loop import SchedulerLoop
from scheduler.profile import Profile, add_seconds, from_json, to_json
from scheduler.redis_connection import load_scripts
from scheduler.redis_ledger import RedisLedger
from scheduler.rhythm import HOUR_MS, WEEK_MS, Usage, learn
from scheduler.states import Job, JobState, Lane, MemoryLimit, Snapshot, Step, WaitReason
from tests.factories import GIB, gpu, new_job, outcome, report, worker

LEASE_MS = 60_000


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(20):
        while not (found := await true()):
            await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def scheduling(ledger: RedisLedger, **of_scheduler: Any) -> AsyncIterator[None]:
    settings = Settings.model_validate({"scheduler": of_scheduler})
    loop = SchedulerLoop(ledger, lambda: settings, "leader", time.monotonic)
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def heartbeat(ledger: RedisLedger) -> None:
    await ledger.report(report(workers=[worker()], gpus=[gpu()]))


async def job_of(ledger: RedisLedger, job_id: str) -> Job:
    (job,) = await ledger.jobs([job_id])
    assert job is not None
    return job


async def reserved(ledger: RedisLedger, job_id: str) -> Job:
    async def is_reserved() -> Job | None:
        job = await job_of(ledger, job_id)
        return job if job.state is JobState.RESERVED else None

    job: Job = await until(is_reserved)
    return job


async def end(ledger: RedisLedger, job_id: str, ending: Ending, **changes: Any) -> None:
    """Play the agent: claim the job that was admitted, and settle it."""
    job = await reserved(ledger, job_id)
    reply = await ledger.claim(job.id, job.attempt, job.worker, "uuid", "sid", LEASE_MS)
    assert isinstance(reply, Claimed)
    await ledger.settle(job.id, job.attempt, outcome(ending, **changes))


async def profile_of(ledger: RedisLedger, fingerprint: str) -> Profile | None:
    (blob,) = await ledger.profiles([fingerprint])
    return None if blob is None else from_json(blob)


async def test_what_a_job_needed_is_learned(ledger: RedisLedger) -> None:
    await heartbeat(ledger)
    async with scheduling(ledger):
        job = new_job(fingerprint="own", parents=("near",))
        await ledger.submit(job, b"{}", max_queued=None)
        await end(ledger, job.id, Ending.SUCCEEDED, peak_bytes=3 * GIB, run_seconds=2.0, clean=True)
        await until(lambda: profile_of(ledger, "near"))
    for name in ("own", "near"):
        learned = await profile_of(ledger, name)
        assert learned is not None
        assert learned.count == 1
        assert learned.bytes.seen.quantile(1) == 0.75  # of the 4 GiB that were guessed


async def test_out_of_memory_is_learned_while_the_job_is_tried_again(ledger: RedisLedger) -> None:
    await heartbeat(ledger)
    async with scheduling(ledger):
        job = new_job(fingerprint="own")
        await ledger.submit(job, b"{}", max_queued=None)
        await end(ledger, job.id, Ending.OOM, peak_bytes=3 * GIB, retry_bytes=5 * GIB)
        learned = await until(lambda: profile_of(ledger, "own"))
    assert learned.count == 0
    assert learned.bytes.bound.value >= 1.2


TRIED = {
    "fingerprint": "own",
    "lane": Lane.BATCH,
    "curve": (Step(3 * GIB, 11.0),),
    "models": ("checkpoints/a.safetensors",),
}


async def quiet_pool(ledger: RedisLedger) -> None:
    """Three idle workers that keep to their limit and have the model; its usual time is known."""
    workers = [
        worker(f"host-{n}", models=TRIED["models"], limit=MemoryLimit.TOLD) for n in range(3)
    ]
    await ledger.report(report(workers=workers, gpus=[gpu()]))
    known = to_json(add_seconds(Profile(), 1.0, 1, 2.0)).encode()
    await ledger.put_profiles({"own": known})


async def admitted(ledger: RedisLedger, **changes: Any) -> Job:
    job = new_job(**(TRIED | changes))
    await ledger.submit(job, b"{}", max_queued=None)
    found = await reserved(ledger, job.id)
    await end(ledger, job.id, Ending.SUCCEEDED, run_seconds=11.0)
    return found


async def test_in_quiet_hours_a_batch_job_tries_less_memory_so_often_a_day(
    ledger: RedisLedger,
) -> None:
    await quiet_pool(ledger)
    async with scheduling(ledger, explore=1):
        first, second = await admitted(ledger), await admitted(ledger)
    assert (first.trial, first.reserved_bytes) == (True, 3 * GIB)
    assert (second.trial, second.reserved_bytes) == (False, 4 * GIB)


async def test_an_interactive_job_is_never_a_trial(ledger: RedisLedger) -> None:
    await quiet_pool(ledger)
    async with scheduling(ledger):
        job = await admitted(ledger, lane=Lane.INTERACTIVE)
    assert (job.trial, job.reserved_bytes) == (False, 4 * GIB)


async def test_nothing_is_tried_where_that_is_off(ledger: RedisLedger) -> None:
    await quiet_pool(ledger)
    async with scheduling(ledger, explore=0):
        assert not (await admitted(ledger)).trial


async def test_who_waits_for_a_load_starts_soon_after_it_without_an_event(
    ledger: RedisLedger,
) -> None:
    def seen(used: int) -> Any:
        loading = worker("host-0", used_bytes=used, limit=MemoryLimit.TOLD)
        other = worker("host-1", models=("checkpoints/b",), limit=MemoryLimit.TOLD)
        return report(workers=[loading, other], gpus=[gpu(used_bytes=used)])

    await ledger.report(seen(0))
    big = {"models": ("checkpoints/a",), "model_bytes": (3 * GIB,), "load_seconds": 4.0}
    async with scheduling(ledger):
        first = new_job(**big)
        await ledger.submit(first, b"{}", max_queued=None)
        await reserved(ledger, first.id)
        second = new_job("bob", models=("checkpoints/b",))
        await ledger.submit(second, b"{}", max_queued=None)

        async def told() -> bool:
            return (await job_of(ledger, second.id)).wait_reason is WaitReason.WARM_SOON

        await until(told)
        cursor = await ledger.last_event_id()
        await ledger.report(seen(4 * GIB))
        assert await ledger.events(cursor, 0) == []
        await reserved(ledger, second.id)


async def test_the_next_leader_learns_what_the_last_one_did_not_and_nothing_twice(
    ledger: RedisLedger,
) -> None:
    await heartbeat(ledger)
    job = new_job(fingerprint="own")
    async with scheduling(ledger):
        await ledger.submit(job, b"{}", max_queued=None)
        await reserved(ledger, job.id)
    await end(ledger, job.id, Ending.SUCCEEDED, peak_bytes=GIB, run_seconds=2.0)
    for _ in range(2):
        async with scheduling(ledger):
            assert (await until(lambda: profile_of(ledger, "own"))).count == 1
            last = new_job(fingerprint="other")
            await ledger.submit(last, b"{}", max_queued=None)
            await end(ledger, last.id, Ending.SUCCEEDED, run_seconds=1.0)
            await until(lambda: profile_of(ledger, "other"))
    learned = await profile_of(ledger, "own")
    assert learned is not None
    assert learned.count == 1


async def test_a_job_that_the_ledger_refuses_holds_up_nobody(
    valkey_url: str, pool_name: str
) -> None:
    refusing = load_scripts()
    idle = "if worker.job then return {'CONFLICT'} end"
    assert idle in refusing["admit"]
    refusing["admit"] = refusing["admit"].replace(
        idle, f"if job.user == 'ann' then return {{'NO_FIT'}} end {idle}"
    )
    ledger = RedisLedger.connect(valkey_url, pool_name, scripts=refusing)
    await ledger.report(report(workers=[worker("w-0"), worker("w-1")], gpus=[gpu()]))
    refused, taken = new_job(user="ann"), new_job(user="bob")
    for job in (refused, taken):
        await ledger.submit(job, b"{}", max_queued=None)
    async with scheduling(ledger):
        await reserved(ledger, taken.id)
        assert (await job_of(ledger, refused.id)).state is JobState.QUEUED
    await ledger.close()


async def test_after_the_server_restarted_nothing_is_admitted_before_agents_report(
    tmp_path: Path,
) -> None:
    with EmbeddedValkey(tmp_path) as server:
        url = server.url
        ledger = RedisLedger.connect(url, "p", patience_s=10)
        await heartbeat(ledger)
        async with scheduling(ledger, heartbeat=60):
            first = new_job()
            await ledger.submit(first, b"{}", max_queued=None)
            await end(ledger, first.id, Ending.SUCCEEDED)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            second = new_job()
            await ledger.submit(second, b"{}", max_queued=None)
            for _ in range(3):  # it looks at least as often
                await asyncio.sleep(0.5)
                assert (await job_of(ledger, second.id)).state is JobState.QUEUED
            await heartbeat(ledger)
            await reserved(ledger, second.id)
        await ledger.close()


class Unreachable:
    """The real ledger, which cannot be reached once where ``away`` is set."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        self.away = False
        self.snapshots = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def snapshot(self, window: int) -> Snapshot:
        if self.away:
            self.away = False
            raise LedgerUnavailable("away")
        self.snapshots += 1
        return await self._ledger.snapshot(window)


async def test_who_could_not_renew_while_the_server_was_out_of_reach_gets_a_whole_lease(
    ledger: RedisLedger,
) -> None:
    await ledger.report(report(workers=[worker(f"w-{n}") for n in range(2)], gpus=[gpu()]))
    unreachable, seconds = Unreachable(ledger), [0.0]
    settings = Settings.model_validate({"scheduler": {"lease": 15}})
    loop = SchedulerLoop(unreachable, lambda: settings, "leader", lambda: seconds[0])  # type: ignore[arg-type]

    async def turns(count: int) -> None:
        """So many looks at the books and what follows each; an event makes each begin."""
        wanted = unreachable.snapshots + count

        async def looked() -> bool:
            await ledger.submit(new_job("ann"), b"{}", max_queued=None)
            return unreachable.snapshots > wanted

        await until(looked)

    task = asyncio.create_task(loop.run())
    try:
        running = new_job("bob")
        await ledger.submit(running, b"{}", max_queued=None)
        job = await reserved(ledger, running.id)
        assert isinstance(
            await ledger.claim(job.id, job.attempt, job.worker, "uuid", "sid", 1), Claimed
        )
        unreachable.away = True
        seconds[0] = 100.0
        await turns(3)
        assert not unreachable.away
        assert (await job_of(ledger, job.id)).state is JobState.RUNNING
        seconds[0] = 116.0
        await turns(3)
        assert (await job_of(ledger, job.id)).losses == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_batch_jobs_wait_for_a_peak_of_the_week_that_the_ledger_holds(
    ledger: RedisLedger,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    soon_ms = now_ms + 2 * HOUR_MS
    weeks = [soon_ms - n * WEEK_MS for n in range(1, 5)]
    usages = [Usage(at_ms=at_ms, model="a", requests=1, seconds=3600) for at_ms in weeks]
    rhythm = learn(usages, since_ms=now_ms - 4 * WEEK_MS, until_ms=now_ms)
    await ledger.put_week(rhythm.to_json())
    await heartbeat(ledger)
    async with scheduling(ledger, rhythm="on", rhythm_lead="3h", rhythm_share=0.3):
        batch, other = new_job(lane=Lane.BATCH), new_job(user="bob")
        await ledger.submit(batch, b"{}", max_queued=None)

        async def is_told() -> bool:
            return "peak" in (await job_of(ledger, batch.id)).wait_detail

        await until(is_told)
        await ledger.submit(other, b"{}", max_queued=None)
        await reserved(ledger, other.id)
        assert (await job_of(ledger, batch.id)).state is JobState.QUEUED
