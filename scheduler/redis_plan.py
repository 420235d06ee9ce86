"""What the scheduler does with the ledger: lead, look, admit, reap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scheduler.bookkeeping import closing_words, refusal_words
from scheduler.fleet import PROTOCOL
from scheduler.ledger import Admitted, Grant, Reaped, Refusal, Trust
from scheduler.redis_codec import encode_trust
from scheduler.redis_connection import Arg
from scheduler.redis_keys import Place
from scheduler.redis_snapshot import RedisSnapshot
from scheduler.states import FailReason, Job, JobState, WaitReason, Worker

#: Jobs that one script call touches at most: it holds the server for about a millisecond.
_BATCH: Final = 100


class RedisPlan(RedisSnapshot):
    """``PlanSide`` over Redis."""

    async def lead(self, owner: str, ttl_ms: int) -> int | None:
        """Take or keep the pool's leadership: its epoch, or None while another leads."""
        args: list[Arg] = [owner, ttl_ms, PROTOCOL]
        epoch: int | None = await self.server.script("lead", [self.keys.leader], args)
        return epoch

    async def resign(self, owner: str, epoch: int) -> None:
        """Give leadership back at once, so that a successor need not wait."""
        await self.server.script("resign", [self.keys.leader], [owner, epoch])

    async def admit(
        self, epoch: int, job: Job, worker: Worker, grant: Grant, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED. Re-checks epoch, rev, worker, its heartbeat and the bytes."""
        place = Place(job.user, worker.id, worker.gpu, worker.agent, job.group)
        keys = [
            *self.keys.of_job(job.id, place),
            self.keys.leader,
            self.keys("gpu", worker.gpu),
            *await self.keys_of_waiting(grant.passed),
        ]
        args: list[Arg] = [epoch, job.rev, worker.id, worker.gpu, worker.agent]
        args += [grant.bytes, grant.capacity_bytes, lease_ms, self.heartbeat_ms, self.new_call()]
        args += [float(grant.seconds), float(grant.load_seconds)]
        args += [grant.user_charge, grant.group_charge, grant.charge]
        args.append(int(grant.trial))
        match await self.server.script("admit", keys, args):
            case [b"ADMITTED", int(attempt)]:
                return Admitted(attempt)
            case [bytes(refusal)]:
                return Refusal(refusal.decode())
            case reply:
                raise self.unexpected("admit", reply)

    async def preempt(self, epoch: int, job: Job) -> bool:
        """Tell a RUNNING job's agent to interrupt it and give it back."""
        call = self.new_call()
        while True:
            found = await self.place(job.id)
            if found is None:
                return False
            keys = [*self.keys.of_job(job.id, found[0]), self.keys.leader]
            args: list[Arg] = [epoch, job.rev, found[0].worker, found[0].gpu, call]
            reply = await self.server.script("preempt", keys, args)
            if reply != [b"MOVED"]:
                return bool(reply == [b"OK"])

    async def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run. False: it was no longer queued."""
        place = Place(job.user, group=job.group)
        keys = [*self.keys.of_job(job.id, place), self.keys.leader]
        args: list[Arg] = [epoch, job.rev, reason.value]
        args += [*refusal_words(job.prompt_id, reason, message), self.new_call()]
        return bool(await self.server.script("refuse", keys, args))

    async def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str, str]]) -> None:
        """Write why queued jobs wait: reason, a sentence with figures, and what blocks."""
        entries = list(waits.items())
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            keys = [self.keys.leader]
            keys += await self.keys_of_waiting([job_id for job_id, _ in batch])
            args: list[Arg] = [epoch]
            for _, (reason, detail, blocker) in batch:
                args += [reason.value, detail, blocker]
            await self.server.script("explain", keys, args)

    async def foresee(
        self, epoch: int, starts: Mapping[str, tuple[int, int]], trust: Trust
    ) -> None:
        """Write when queued jobs should start, p50 and p90 in ms of server time, and its worth."""
        entries = list(starts.items())
        told = encode_trust(trust)
        for start in range(0, max(1, len(entries)), _BATCH):
            batch = entries[start : start + _BATCH]
            keys = [self.keys.leader]
            keys += await self.keys_of_waiting([job_id for job_id, _ in batch])
            args: list[Arg] = [epoch, told]
            for _, (p50_ms, p90_ms) in batch:
                args += [p50_ms, p90_ms]
            await self.server.script("foresee", keys, args)

    async def release(self, epoch: int | None, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent. False: it was not idle."""
        call = self.new_call()
        key = self.keys("worker", worker)
        while True:
            agent = (await self.server.command("HGET", key, "agent") or b"").decode()
            keys = [self.keys.leader, key, self.keys("inbox", agent), self.keys.events]
            args: list[Arg] = ["" if epoch is None else epoch, worker, agent, call]
            reply = await self.server.script("release", keys, args)
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
            args += [*closing_words(prompt_id), job_id]
            match await self.server.script("reap", keys, args):
                case [b"REAPED", bytes(state)]:
                    return JobState(state.decode())
                case [b"MOVED"]:
                    continue
                case _:  # renewed or settled meanwhile, or we lead no more
                    return None
