"""What a plan sees, read in one script call; only what has changed is fetched and decoded.

A queue of ten thousand jobs changes by a few between two plans. The script tells each
waiting job's revision, so that a process decodes a job once and keeps the noun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from scheduler.bookkeeping import changed
from scheduler.redis_catalogues import RedisCatalogues
from scheduler.redis_codec import Fields, decode_agent, decode_gpu, decode_job, decode_worker, pairs
from scheduler.redis_connection import Arg
from scheduler.states import ACTIVE, Agent, Backlog, Gpu, Job, JobState, Snapshot, Worker

#: Between the fields of a record; no value of ours holds one.
_SEPARATOR: Final = b"\x1f"
#: Owners of jobs are remembered up to this many, then anew.
_MOST_OWNERS: Final = 100_000
#: Jobs that are decoded at a time, about 25 ms: a gateway has others to serve meanwhile.
_PORTION: Final = 500
Noun = TypeVar("Noun", Agent, Gpu, Worker)
#: (id, rev, said): a job reads the same as long as these are the same, but for its skips
_Version = tuple[bytes, bytes, bytes]
_Jobs = dict[_Version, Job]


@dataclass(frozen=True, slots=True)
class _Row:
    """One user as the script returned it, and what was made of it."""

    record: Sequence[Any]
    jobs: _Jobs
    backlog: Backlog


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the last snapshot was made of."""

    window: int = 0
    #: life of the server; after a restart that lost its last moments, revisions mean others
    run_id: bytes = b""
    #: when it was read, server time; 0: never
    now_ms: int = 0
    rows: dict[bytes, _Row] = field(default_factory=dict)
    active: _Jobs = field(default_factory=dict)
    #: agents, workers and GPUs by id: the raw record, and the noun
    nouns: dict[bytes, tuple[bytes, Any]] = field(default_factory=dict)


class RedisSnapshot(RedisCatalogues):
    """``PlanSide.snapshot`` over Redis."""

    _seen = _Seen()

    async def snapshot(self, window: int) -> Snapshot:
        """Workers, GPUs, active jobs, counters, and the first ``window`` jobs of each user."""
        old = self._seen if self._seen.window == window else _Seen(window)
        reply = await self._ask(old)
        if reply[0] != old.run_id:
            if old.rows:
                reply = await self._ask(_Seen(window))
            old = _Seen(window)
        run_id, now, users, active, groups, agents, workers, gpus, fresh = reply
        new = _Seen(window, run_id, now)
        await self._read_jobs(users, active, old, new, _by_id(fresh))
        decoder = _Decoder(old, new)
        pool = decoder.all(workers, _worker)
        snapshot = Snapshot(
            now_ms=now,
            gpus=decoder.all(gpus, decode_gpu),
            workers=pool,
            backlogs=tuple([row.backlog for row in new.rows.values()]),
            active={job.id: job for job in new.active.values()},
            agents=decoder.all(agents, decode_agent),
            life=run_id.decode(),
            groups={
                group.decode(): int(virtual)
                for group, virtual in zip(groups[::2], groups[1::2], strict=True)
            },
            catalogues=await self.catalogues(worker.catalogue for worker in pool),
        )
        self._seen = new
        return snapshot

    async def _ask(self, old: _Seen) -> Any:
        """Call the script, which leaves out the first jobs of users that are as in ``old``."""
        k = self.keys
        args: list[Arg] = [k.prefix, old.window, old.now_ms or ""]
        for name, row in old.rows.items():
            args += [name, row.record[-1]]
        names = [k.users, k.inflight, k.turns, k.agents, k.workers, k.gpus]
        return await self.server.script("snapshot", names, args)

    async def keys_of_waiting(self, job_ids: Sequence[str]) -> list[str]:
        """Of each job: its key, and its user's. Jobs of the last snapshot cost no question."""
        strange = [job_id for job_id in job_ids if job_id not in self.owners]
        found = await self.server.pipeline(
            [("HGET", self.keys("job", job_id), "user") for job_id in strange]
        )
        self.owners |= {
            id_: (user or b"").decode() for id_, user in zip(strange, found, strict=True)
        }
        return [
            key
            for job_id in job_ids
            for key in (self.keys("job", job_id), self.keys("user", self.owners[job_id]))
        ]

    async def _read_jobs(
        self,
        users: Sequence[Any],
        active: Sequence[Any],
        old: _Seen,
        new: _Seen,
        told: Mapping[bytes, Fields],
    ) -> None:
        """Make the rows and the active jobs, those that are as they were from ``old``."""
        if len(self.owners) > _MOST_OWNERS:
            self.owners = {}
        heads = {record[0]: _heads(lines) for record, lines in users if lines is not None}
        fetched = await self._fetch(heads, active, old, told)
        for record, _ in sorted(users):
            row = old.rows.get(record[0])
            if row is None or row.record != record:
                row = _row(record, heads.get(record[0]), row, fetched)
                self.owners |= {job.id: job.user for job in row.backlog.jobs}
            new.rows[record[0]] = row
        for id_, rev in active:
            version = (id_, rev, b"")
            job = old.active.get(version) or fetched.get(version)
            if job is not None and job.state in ACTIVE:
                new.active[version] = job

    async def _fetch(
        self,
        heads: Mapping[bytes, Mapping[_Version, int]],
        active: Sequence[Any],
        old: _Seen,
        told: Mapping[bytes, Fields],
    ) -> _Jobs:
        """The jobs that have changed since, as they are now; ``told``: some of them, already here."""
        missing = [
            version
            for user, versions in heads.items()
            for version in versions
            if user not in old.rows or version not in old.rows[user].jobs
        ]
        missing += [
            version for id_, rev in active if (version := (id_, rev, b"")) not in old.active
        ]
        fetched: _Jobs = {}
        for first in range(0, len(missing), _PORTION):
            some = missing[first : first + _PORTION]
            unread = [version[0] for version in some if version[0] not in told]
            replies = await self.server.pipeline(
                [("HGETALL", self.keys("job", id_.decode())) for id_ in unread]
            )
            read = {**told, **dict(zip(unread, replies, strict=True))}
            for version in some:
                fields = read[version[0]]
                # One that has moved on between the two reads is left out: the next plan sees it.
                if fields.get(b"rev") == version[1] and (job := decode_job(fields)) is not None:
                    fetched[version] = job
        return fetched


def _by_id(fresh: Sequence[Sequence[bytes]]) -> dict[bytes, Fields]:
    jobs = [pairs(flat) for flat in fresh]
    return {job[b"id"]: job for job in jobs}


def _heads(lines: bytes) -> dict[_Version, int]:
    """A user's first jobs in order, and how often each was passed."""
    heads = {}
    for line in lines.split(b"\n") if lines else ():
        id_, rev, said, skips = line.split(b"\t")
        heads[id_, rev, said] = int(skips or 0)
    return heads


def _row(
    record: Sequence[Any], heads: Mapping[_Version, int] | None, old: _Row | None, fetched: _Jobs
) -> _Row:
    """Make a user's row anew; ``heads`` None: its jobs are as they were."""
    name, group, last_admitted_ms, virtual, queued, running, _ = record
    jobs = old.jobs if heads is None and old is not None else {}
    for version, skips in (heads or {}).items():
        job = (old.jobs.get(version) if old else None) or fetched.get(version)
        if job is not None and job.state is JobState.QUEUED and not job.held:
            jobs[version] = job if job.skips == skips else changed(job, skips=skips)
    return _Row(
        record,
        jobs,
        Backlog(
            user=name.decode(),
            group=group.decode(),
            queued=queued,
            running=running,
            jobs=tuple(jobs.values()),
            last_admitted_ms=int(last_admitted_ms),
            virtual=int(virtual),
        ),
    )


class _Decoder:
    """Decodes records, those that are as they were not again."""

    def __init__(self, old: _Seen, new: _Seen) -> None:
        self._old = old
        self._new = new

    def all(
        self, records: Sequence[Any], decode: Callable[[str, Fields], Noun | None]
    ) -> tuple[Noun, ...]:
        """Nouns by id, those that are gone left out."""
        found = []
        for id_, raw in sorted(records):
            known = self._old.nouns.get(id_)
            noun = known[1] if known and known[0] == raw else decode(id_.decode(), _fields(raw))
            if noun is not None:
                self._new.nouns[id_] = (raw, noun)
                found.append(noun)
        return tuple(found)


def _fields(raw: bytes) -> Fields:
    return pairs(raw.split(_SEPARATOR)) if raw else {}


def _worker(worker_id: str, fields: Fields) -> Worker | None:
    own = worker_id.encode()
    holds = {b"u:" + own: fields[b"used"], b"r:" + own: fields[b"reserved"]}
    return decode_worker(worker_id, fields, holds)
