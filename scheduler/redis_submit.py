"""What gateways do with the ledger: submit, cancel, look up. Every call is scoped to one user."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scheduler.bookkeeping import HELD_DETAIL, place
from scheduler.ledger import CancelReply, Duplicate, FileRecord, OverCap, Submitted
from scheduler.redis_base import RedisSide
from scheduler.redis_codec import decode_file, decode_files, encode_spec, file_field
from scheduler.redis_connection import Arg
from scheduler.redis_keys import Place
from scheduler.states import TERMINAL, Job, JobState, Lane, NewJob

#: Jobs that one script call touches at most: it holds the server for well under a millisecond.
_BATCH = 100


class RedisSubmit(RedisSide):
    """``SubmitSide`` over Redis."""

    async def submit(
        self, job: NewJob, prompt: bytes, *, max_queued: int | None
    ) -> Submitted | Duplicate | OverCap:
        """Queue a job with its prompt body; ``max_queued`` None: no limit."""
        call, group = self.new_call(), job.group
        limit = -1 if max_queued is None else max_queued
        while True:
            keys = [
                *self.keys.of_job(job.id, Place(job.user, group=group)),
                self.keys("prompt", job.id),
                self.keys("names", job.user),
                self.keys.everyone,
            ]
            args = _submit_args(job, group, prompt, call, limit)
            match await self.server.script("submit", keys, args, copied=True):
                case [b"SUBMITTED", int(number), int(remaining)]:
                    return Submitted(number, remaining)
                case [b"DUPLICATE", bytes(job_id), bytes(prompt_id), int(number), int(same_key)]:
                    return Duplicate(job_id.decode(), prompt_id.decode(), number, bool(same_key))
                case [b"OVERCAP", int(queued)]:
                    return OverCap(queued, limit)
                case [b"MOVED", bytes(current)]:
                    group = current.decode()
                case reply:
                    raise self.unexpected("submit", reply)

    async def cancel(self, user: str, job_id: str) -> CancelReply:
        """Cancel one of the user's jobs in whatever state it is."""
        call = self.new_call()
        return await self._change(
            "cancel", user, job_id, lambda place: [place.worker, place.gpu, user, call]
        )

    async def hold(self, user: str, job_id: str, *, held: bool) -> CancelReply:
        """Keep one of the user's QUEUED jobs from starting, or let it start again."""
        args: list[Arg] = [user, int(held), HELD_DETAIL, self.new_call()]
        return await self._change("hold", user, job_id, lambda _: args)

    async def move(self, user: str, job_id: str, *, front: bool) -> CancelReply:
        """Give one of the user's QUEUED jobs the first or the last place of the user's own."""
        args: list[Arg] = [user, int(front), self.new_call()]
        return await self._change("move", user, job_id, lambda _: args)

    async def _change(
        self, script: str, user: str, job_id: str, args: Callable[[Place], list[Arg]]
    ) -> CancelReply:
        """Run a transition that a job's own user asks for."""
        while True:
            found = await self.place(job_id)
            if found is None or found[0].user != user:
                return CancelReply(None, changed=False)
            keys = self.keys.of_job(job_id, found[0])
            match await self.server.script(script, keys, args(found[0])):
                case [b"CANCEL", bytes(state), int(changed)]:
                    return CancelReply(JobState(state.decode()), changed=bool(changed))
                case [b"UNKNOWN"]:
                    return CancelReply(None, changed=False)
                case [b"MOVED"]:
                    continue
                case reply:
                    raise self.unexpected(script, reply)

    async def find(self, user: str, prompt_id: str) -> Job | None:
        """The user's job that its client knows by this id; None too when it was hidden."""
        entry = await self.server.command("HGET", self.keys("names", user), f"p:{prompt_id}")
        if entry is None:
            return None
        _, _, job_id = entry.decode().partition(" ")
        (job,) = await self.jobs([job_id])
        return job

    async def unfinished(self, user: str, *, first: int | None = None) -> list[Job]:
        """The user's jobs that have not ended: active ones first, then in queue order."""
        most = -1 if first is None else first
        active, queued, held = await self.server.script("unfinished", self._places(user), [most])
        jobs = [
            job
            for job in await self.known_jobs(active + queued + held)
            if job.state not in TERMINAL
        ]
        # stable: active jobs stay in the order they were admitted
        return sorted(
            jobs, key=lambda job: (1, place(job)) if job.state is JobState.QUEUED else (0, 0)
        )

    async def ended(self, user: str, *, newest: int | None = None) -> list[Job]:
        """The user's ended jobs still in Redis, oldest first; at most the ``newest`` n."""
        if newest is not None and newest <= 0:
            return []
        first = 0 if newest is None else -newest
        return await self.known_jobs(
            await self.server.command("ZRANGE", self.keys("done", user), first, -1)
        )

    async def prompts(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Bodies as submitted, in the order asked; None: unknown or trimmed."""
        return await self._strings("prompt", job_ids)

    async def results(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Results as settled, in the order asked; None: not ended, cancelled unrun, or trimmed."""
        return await self._strings("result", job_ids)

    async def hide(self, user: str, job_ids: Sequence[str] | None) -> int:
        """Drop ended jobs from the user's history (None: all). Counts what was dropped."""
        done = self.keys("done", user)
        if job_ids is None:
            job_ids = [id_.decode() for id_ in await self.server.command("ZRANGE", done, 0, -1)]
        dropped = 0
        for start in range(0, len(job_ids), _BATCH):
            batch = job_ids[start : start + _BATCH]
            own = [done, *(self.keys(kind, user) for kind in ("hidden", "names", "user"))]
            keys = [*own, *(self.keys("job", id_) for id_ in batch)]
            dropped += await self.server.script("hide", keys, [user, *batch])
        return dropped

    async def remaining(self, user: str) -> int:
        """The user's unfinished jobs."""
        count: int = await self.server.script("remaining", self._places(user), [])
        return count

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None if no such file is theirs."""
        name = file_field(type, subfolder, filename)
        location = await self.server.quick("HGET", self.keys("files", user), name)
        return None if location is None else decode_file(name, location)

    async def files(self, user: str, type: str) -> list[FileRecord]:
        """The user's outputs of one type (``output`` or ``temp``), newest first."""
        return decode_files(await self.server.command("HGETALL", self.keys("files", user)), type)

    def _places(self, user: str) -> list[str]:
        return [self.keys(kind, user) for kind in ("active", "queue", "held")]

    async def _strings(self, kind: str, job_ids: Sequence[str]) -> list[bytes | None]:
        if not job_ids:
            return []
        found: list[bytes | None] = await self.server.command(
            "MGET", *(self.keys(kind, id_) for id_ in job_ids)
        )
        return found


def _submit_args(job: NewJob, group: str, prompt: bytes, call: str, limit: int) -> list[Arg]:
    deadline_ms: Arg = "" if job.deadline_s is None else int(job.deadline_s * 1000)
    return [
        job.id,
        job.user,
        job.prompt_id,
        job.idempotency_key or "",
        call,
        limit,
        int(job.front),
        job.need_bytes,
        encode_spec(job, group),
        prompt,
        group,
        int(job.client_id is not None),
        job.client_id or "",
        deadline_ms,
        int(job.lane is Lane.BATCH),
    ]
