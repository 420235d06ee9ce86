"""What the scheduler does with the ledger: lead, look, admit, reap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from scheduler.ledger import Admitted, Reaped, Refusal
from scheduler.redis_base import RedisSide
from scheduler.redis_codec import encode_json, error_result, failed_frames
from scheduler.redis_connection import Arg
from scheduler.redis_keys import Place
from scheduler.states import (
    ACTIVE,
    Backlog,
    FailReason,
    Job,
    JobState,
    Snapshot,
    WaitReason,
    Worker,
)

#: Jobs that one script call touches at most: it holds the server for about a millisecond.
_BATCH: Final = 100


class RedisPlan(RedisSide):
    """``PlanSide`` over Redis."""

    async def lead(self, owner: str, ttl_ms: int) -> int | None:
        """Take or keep the pool's leadership: its epoch, or None while another leads."""
        epoch: int | None = await self.server.script("lead", [self.keys.leader], [owner, ttl_ms])
        return epoch

    async def resign(self, owner: str, epoch: int) -> None:
        """Give leadership back at once, so that a successor need not wait."""
        await self.server.script("resign", [self.keys.leader], [owner, epoch])

    async def admit(
        self, epoch: int, job: Job, worker: Worker, bytes_: int, capacity_bytes: int, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED. Re-checks epoch, rev, worker, its heartbeat and the bytes."""
        keys = [
            *self.keys.of_job(job.id, Place(job.user, worker.id, worker.gpu, worker.agent)),
            self.keys.leader,
            self.keys("gpu", worker.gpu),
            self.keys("user", job.user),
        ]
        args: list[Arg] = [epoch, job.rev, worker.id, worker.gpu, worker.agent]
        args += [bytes_, capacity_bytes, lease_ms, self.heartbeat_ms, self.new_call()]
        match await self.server.script("admit", keys, args):
            case [b"ADMITTED", int(attempt)]:
                return Admitted(attempt)
            case [bytes(refusal)]:
                return Refusal(refusal.decode())
            case reply:
                raise self.unexpected("admit", reply)

    async def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run. False: it was no longer queued."""
        frames = failed_frames(job.prompt_id, reason, message)
        keys = [*self.keys.of_job(job.id, Place(job.user)), self.keys.leader]
        args: list[Arg] = [epoch, job.rev, reason.value, error_result(frames)]
        args += [encode_json(frames), self.new_call()]
        return bool(await self.server.script("refuse", keys, args))

    async def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str]]) -> None:
        """Write why queued jobs wait: reason and a sentence with figures."""
        entries = list(waits.items())
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            keys = [self.keys.leader, *(self.keys("job", job_id) for job_id, _ in batch)]
            args: list[Arg] = [epoch]
            for _, (reason, detail) in batch:
                args += [reason.value, detail]
            await self.server.script("explain", keys, args)

    async def release(self, epoch: int, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent. False: it was not idle."""
        call = self.new_call()
        key = self.keys("worker", worker)
        while True:
            agent = (await self.server.command("HGET", key, "agent") or b"").decode()
            keys = [self.keys.leader, key, self.keys("inbox", agent), self.keys.events]
            reply = await self.server.script("release", keys, [epoch, worker, agent, call])
            if reply != [b"MOVED"]:
                return bool(reply == [b"RELEASING"])

    async def reap(self, epoch: int, max_losses: int) -> list[Reaped]:
        """Close every attempt whose lease has passed."""
        now = await self.now_ms()
        late = await self.server.command("ZRANGE", self.keys.inflight, "-inf", now, "BYSCORE")
        reaped = []
        for job_id in late:
            state = await self._reap_one(epoch, job_id.decode(), max_losses)
            if state is not None:
                reaped.append(Reaped(job_id.decode(), state))
        return reaped

    async def _reap_one(self, epoch: int, job_id: str, max_losses: int) -> JobState | None:
        while True:
            found = await self.place(job_id)
            if found is None:
                return None
            place, prompt_id = found
            keys = [*self.keys.of_job(job_id, place), self.keys.leader]
            args: list[Arg] = [epoch, place.worker, place.gpu, max_losses]
            args += [*self.closing_args(prompt_id), job_id]
            match await self.server.script("reap", keys, args):
                case [b"REAPED", bytes(state)]:
                    return JobState(state.decode())
                case [b"MOVED"]:
                    continue
                case _:  # renewed or settled meanwhile, or we lead no more
                    return None

    async def snapshot(self, window: int) -> Snapshot:
        """Workers, GPUs, active jobs and the first ``window`` queued jobs of each user."""
        k = self.keys
        now, workers, gpus, users, inflight = await self.server.pipeline(
            [
                ("TIME",),
                ("SMEMBERS", k.workers),
                ("SMEMBERS", k.gpus),
                ("SMEMBERS", k.users),
                ("ZRANGE", k.inflight, 0, -1),
            ]
        )
        active = {job.id: job for job in await self.known_jobs(inflight) if job.state in ACTIVE}
        found_gpus, found_workers = await self.devices(_texts(workers), _texts(gpus))
        return Snapshot(
            now_ms=int(now[0]) * 1000 + int(now[1]) // 1000,
            gpus=tuple(found_gpus),
            workers=tuple(found_workers),
            backlogs=tuple(await self._backlogs(_texts(users), window, active)),
            active=active,
        )

    async def _backlogs(
        self, users: Sequence[str], window: int, active: Mapping[str, Job]
    ) -> list[Backlog]:
        commands: list[Sequence[Arg]] = []
        for user in users:
            commands += [
                ("HMGET", self.keys("user", user), "group", "last_admitted_ms"),
                ("ZCARD", self.keys("queue", user)),
                ("ZCARD", self.keys("active", user)),
                ("ZRANGE", self.keys("queue", user), 0, window - 1),
            ]
        replies = await self.server.pipeline(commands)
        heads = [job_id for ids in replies[3::4] for job_id in ids]
        queued = {job.id: job for job in await self.known_jobs(heads)}
        backlogs = []
        for n, user in enumerate(users):
            (group, last), count, running, ids = replies[4 * n : 4 * n + 4]
            # Admitted or cancelled between the two reads: the next plan sees it where it is.
            jobs = [queued[id_] for id_ in _texts_in_order(ids) if id_ in queued]
            jobs = [job for job in jobs if job.state is JobState.QUEUED and job.id not in active]
            if count or running:
                backlogs.append(
                    Backlog(
                        user=user,
                        group=(group or b"").decode(),
                        queued=count,
                        running=running,
                        jobs=tuple(jobs),
                        last_admitted_ms=int(last or 0),
                    )
                )
        return backlogs


def _texts(values: Iterable[bytes]) -> list[str]:
    return sorted(value.decode() for value in values)


def _texts_in_order(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]
