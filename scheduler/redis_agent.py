"""What worker agents do with the ledger: report, take orders, claim, renew, settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scheduler.bookkeeping import WORDLESS, closing_words, own_folder
from scheduler.ledger import (
    Claimed,
    FileRecord,
    Order,
    Outcome,
    Refusal,
    Renewed,
    Report,
    Settled,
)
from scheduler.ledger_values import Reported
from scheduler.redis_base import RedisSide
from scheduler.redis_codec import (
    Fields,
    decode_job,
    decode_order,
    encode_probed,
    ordered_user,
    pairs,
)
from scheduler.redis_connection import Arg
from scheduler.redis_keys import Place
from scheduler.redis_report import is_settled, read_reply, report_call
from scheduler.states import ACTIVE, Job, JobState

#: One blocking read lasts this long at most, so that a dead connection is noticed.
_LONGEST_BLOCK_S: Final = 5.0
_NO_CLOSING: Final = (b"", b"", b"", b"")
#: Claimed jobs remembered, some of which others have closed: an agent runs one for each worker.
_CLAIMED_MAX: Final = 1000


class RedisAgent(RedisSide):
    """``AgentSide`` over Redis."""

    async def report(self, report: Report) -> Reported:
        """Heartbeat; also marks workers that the agent no longer names as gone."""
        agent = report.agent.id
        while True:
            fleet = self.fleets.pop(agent, None)
            if fleet is None:
                fleet = await self.server.command("HGETALL", self.keys("fleet", agent))
            reply = await self.server.script("report", *report_call(self.keys, report, fleet))
            if reply == [b"MOVED"]:
                continue
            if is_settled(fleet, report):
                self.fleets[agent] = fleet
            return read_reply(reply)

    async def next_order(self, agent: str, timeout_s: float) -> Order | None:
        """Wait for the next entry of the agent's inbox; 5 s at most, then None.

        An order that is lost on the way is made good: RUN by the lease, CANCEL and
        PREEMPT by the answer to ``renew``, RELEASE by being told again.
        """
        block_s = min(max(timeout_s, 0.01), _LONGEST_BLOCK_S)
        entry = await self.server.wait(block_s, "BLPOP", self.keys("inbox", agent), block_s)
        if entry is None:
            return None
        order, user = decode_order(entry[1]), ordered_user(entry[1])
        if user:
            self.owners[order.job] = user
        return order

    async def held(self, agent: str) -> list[Job]:
        """Active jobs on the agent's workers: what a restarted agent adopts."""
        fleet = await self.server.command("HKEYS", self.keys("fleet", agent))
        workers = [field[2:].decode() for field in fleet if field.startswith(b"w:")]
        held = await self.server.pipeline(
            [("HGET", self.keys("worker", id_), "job") for id_ in workers]
        )
        jobs = await self.known_jobs([job_id for job_id in held if job_id is not None])
        return [job for job in jobs if job.state in ACTIVE and job.worker in workers]

    async def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        """RESERVED → RUNNING. FENCED: no longer this attempt's to run."""
        owner = self.owners.pop(job_id, "")
        found = (Place(owner), "") if owner else await self.place(job_id)
        if found is None:
            return Refusal.UNKNOWN
        keys = [*self.keys.of_job(job_id, found[0]), self.keys("prompt", job_id)]
        reply = await self.server.script(
            "claim", keys, [attempt, worker, attempt_uuid, sid, lease_ms]
        )
        match reply:
            case [b"CLAIMED", int(again), bytes(prompt), *flat]:
                fields = pairs(flat)
                job = decode_job(fields)
                if job is not None:
                    self._note_claimed(job, fields)
                    return Claimed(job, prompt, bool(again))
            case [bytes(refusal)]:
                return Refusal(refusal.decode())
        raise self.unexpected("claim", reply)

    def _note_claimed(self, job: Job, fields: Fields) -> None:
        """Remember where it is held, so that ``settle`` need not ask first."""
        if len(self.claimed) >= _CLAIMED_MAX:
            self.claimed.clear()
        agent = fields.get(b"agent", b"").decode()
        place = Place(job.user, job.worker, job.gpu, agent, job.group)
        self.claimed[job.id] = (place, job.prompt_id)

    async def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        """Prolong the lease; FENCED: interrupt the prompt and drop what it made."""
        keys = [self.keys("job", job_id), self.keys.inflight]
        match await self.server.script("renew", keys, [job_id, attempt, lease_ms]):
            case [b"RENEWED", int(cancel), int(preempt)]:
                return Renewed(bool(cancel), bool(preempt))
            case [bytes(refusal)]:
                return Refusal(refusal.decode())
            case reply:
                raise self.unexpected("renew", reply)

    async def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        """Close the attempt. Repeating the same call answers the same."""
        known = self.claimed.pop(job_id, None)
        while True:
            found = known or await self.place(job_id)
            if found is None:
                return Refusal.UNKNOWN
            known, (place, prompt_id) = None, found
            args: list[Arg] = [attempt, place.worker, place.gpu, *self._outcome_args(outcome)]
            wordless = outcome.ending in WORDLESS
            args += closing_words(prompt_id) if wordless else _NO_CLOSING
            reply = await self.server.script("settle", self.keys.of_job(job_id, place), args)
            match reply:
                case [b"SETTLED", bytes(state)]:
                    return Settled(JobState(state.decode()))
                case [b"MOVED"]:
                    continue
                case [bytes(refusal)]:
                    return Refusal(refusal.decode())
                case _:
                    raise self.unexpected("settle", reply)

    async def released(self, worker: str, used_bytes: int) -> None:
        """RELEASING → READY: the memory is back, as measured."""
        while True:
            gpu = await self.server.command("HGET", self.keys("worker", worker), "gpu")
            home = (gpu or b"").decode()
            keys = [self.keys("worker", worker), self.keys("holds", home), self.keys.events]
            reply = await self.server.script("released", keys, [worker, home, used_bytes])
            if reply != [b"MOVED"]:
                return

    async def name_files(
        self,
        user: str,
        agent: str,
        worker: str,
        files: Sequence[tuple[str, str, str]],
        *,
        job_id: str = "",
    ) -> list[FileRecord]:
        """Give outputs ``(type, worker_subfolder, worker_filename)`` names in the user's space.

        On a worker's disk a user's files lie below ``vg/<user>``; in the user's
        own space that folder is the top.
        """
        if not files:
            return []
        keys = [*self.keys.of_files(user), self.keys("outputs", job_id)]
        args: list[Arg] = [agent, worker, job_id]
        for type_, subfolder, filename in files:
            args += [type_, subfolder, filename, own_folder(user, subfolder)]
        names: list[bytes] = await self.server.script("name_files", keys, args)
        return [
            FileRecord(
                type=type_,
                subfolder=own_folder(user, subfolder),
                filename=name.decode(),
                agent=agent,
                worker=worker,
                worker_subfolder=subfolder,
                worker_filename=filename,
            )
            for (type_, subfolder, filename), name in zip(files, names, strict=True)
        ]

    def _outcome_args(self, outcome: Outcome) -> tuple[Any, ...]:
        return (
            outcome.ending.value,
            outcome.result,
            outcome.frames,
            outcome.reason.value if outcome.reason else "",
            outcome.peak_bytes,
            outcome.run_seconds,
            outcome.retry_bytes,
            self.max_losses,
            int(outcome.clean),
            encode_probed(outcome.probed),
            outcome.probed.left_bytes if outcome.probed else 0,
        )
