"""What a user's lists are made of, over Redis (``scheduler.ledger_lists``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from scheduler.ledger_lists import JobEntry, JobHead, Listing
from scheduler.redis_base import RedisSide
from scheduler.redis_codec import decode_job
from scheduler.redis_listings import Kept
from scheduler.states import Job

#: Jobs that one script call reads: it holds the server for well under a millisecond.
_BATCH: Final = 500
#: Events that are looked through for what has changed; beyond that all is read anew.
_MOST_EVENTS: Final = 256
_LISTS: Final = ("user", "active", "queue", "held", "done")


class RedisLists(RedisSide):
    """``ListSide`` over Redis."""

    async def changed(self, user: str) -> str:
        """Names the present state of the user's jobs: another name after each change."""
        found = await self.server.quick("HGET", self.keys("user", user), "changed")
        return "" if found is None else str(found, "ascii")

    async def stamp(self, user: str) -> None:
        """Give them another name: what the store shows of the user's jobs has changed."""
        await self.server.script("stamp", [self.keys("user", user)], [])

    async def listing(self, user: str) -> Listing:
        """Which jobs the user has, in their orders."""
        keys = [*(self.keys(kind, user) for kind in _LISTS), self.keys.events]
        while True:
            now_s = time.monotonic()
            known = self.listings.get(user, now_s)
            before = None if known is None else known.changed
            told = ("", "") if known is None else (known.changed, known.stamps)
            reply = await self.server.script("listing", keys, [user, *told, _MOST_EVENTS])
            kind, changed, stamps, active, *lists = (part.decode() for part in reply)
            if kind == "ALL":
                known = _read_all(now_s, lists)
                self.listings.put(user, known)
            elif known is None or known.changed != before:
                continue  # somebody else has brought it further meanwhile
            else:
                known.move(lists[0].split())
            known.changed, known.stamps = changed, stamps
            return Listing(
                changed=changed,
                active=tuple(active.split()),
                waiting=known.waiting.shown(),
                ended=known.ended.shown(),
            )

    async def heads(self, job_ids: Sequence[str]) -> list[JobHead | None]:
        """What never changes of these jobs, in the order asked; None: trimmed."""
        found: list[JobHead | None] = []
        for start in range(0, len(job_ids), _BATCH):
            keys = [self.keys("job", id_) for id_ in job_ids[start : start + _BATCH]]
            rows = await self.server.script("heads", keys, [])
            found += [_head(*rows[at : at + 3]) for at in range(0, len(rows), 3)]
        return found

    async def first_held(self, user: str, count: int) -> list[Job]:
        """The first of the user's jobs that are held, in queue order."""
        ids = await self.server.command("ZRANGE", self.keys("held", user), 0, max(count, 0) - 1)
        return [job for job in await self.known_jobs(ids if count > 0 else []) if job.held]

    async def entry(self, user: str, prompt_id: str) -> JobEntry | None:
        """The user's job that its client knows by this id; None too when it was hidden."""
        name = ("HGET", self.keys("names", user), f"p:{prompt_id}")
        # most clients leave the id to us, and then it is the job's own: one round trip
        named, *found = await self.server.pipeline([name, *self._of_entry(prompt_id)])
        if named is None:
            return None
        _, _, job_id = named.decode().partition(" ")
        if job_id != prompt_id:
            found = await self.server.pipeline(self._of_entry(job_id))
        fields, prompt, result = found
        job = decode_job(fields)
        return None if job is None else JobEntry(job, prompt, result)

    def _of_entry(self, job_id: str) -> list[tuple[str, str]]:
        read = (("HGETALL", "job"), ("GET", "prompt"), ("GET", "result"))
        return [(command, self.keys(kind, job_id)) for command, kind in read]


def _read_all(now_s: float, lists: Sequence[str]) -> Kept:
    """Queue, held and done as ``listing.lua`` tells them."""
    queued, held, done = map(_scored, lists)
    kept = Kept(now_s)
    kept.waiting.fill(queued + held)
    kept.ended.fill(done)
    return kept


def _scored(flat: str) -> list[tuple[str, int]]:
    """``id score id score …``."""
    words = flat.split()
    return list(zip(words[::2], map(int, words[1::2]), strict=True))


def _head(prompt_id: bytes, client_id: bytes | None, submitted_ms: bytes) -> JobHead | None:
    if not prompt_id:
        return None
    known = None if client_id is None else client_id.decode()
    return JobHead(prompt_id.decode(), known, int(submitted_ms))
