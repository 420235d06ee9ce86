"""A ledger as a backup holds it, and what is made of it before another server has it (pure).

A backup is read while jobs run: first everything whose parts must agree, at one instant
(``keep.lua``), then what never changes. ``mend`` makes books of it that a scheduler can go on
with: workers are gone, so running attempts have lost theirs; what had ended by the time the
store was copied has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

#: lists of a user's unfinished jobs, and of ended ones
UNFINISHED: Final = ("queue", "held", "active")
ENDED: Final = ("done", "hidden")
#: what belongs to one job, by kind
OF_JOB: Final = ("job", "prompt", "result", "outputs")


class KeptKey(msgspec.Struct, array_like=True, frozen=True):
    """One key with what it holds."""

    #: without what every key of a pool begins with, for example ``queue:ann``
    name: str
    #: ``string``, ``hash``, ``set``, ``zset``; ``stream``: one entry, its id first
    type: str
    #: a string alone, members, or flat pairs
    value: list[bytes]
    #: milliseconds until it ends by itself; 0: it does not
    ttl_ms: int = 0

    @property
    def kind(self) -> str:
        """The part of the name before the first colon."""
        return self.name.partition(":")[0]

    @property
    def of(self) -> str:
        """The part of the name behind it; "" where there is none."""
        return self.name.partition(":")[2]

    def pairs(self) -> dict[bytes, bytes]:
        """A hash, or a sorted set's scores by member."""
        return dict(zip(self.value[::2], self.value[1::2], strict=True))

    def with_pairs(self, pairs: Mapping[bytes, bytes]) -> KeptKey:
        """The same key with other pairs."""
        flat = [part for pair in pairs.items() for part in pair]
        return msgspec.structs.replace(self, value=flat)


@dataclass(slots=True)
class Books:
    """What ``mend`` has to know of all keys before it can look at any."""

    #: jobs whose record is there
    jobs: set[str] = field(default_factory=set)
    #: unfinished jobs, by list and user
    lists: dict[str, set[str]] = field(default_factory=dict)
    #: users by group
    groups: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[KeptKey], ended: Collection[str]) -> Books:
        """Look at all keys once.

        Args:
            keys: of the backup.
            ended: jobs that the backup's store says have ended.
        """
        books = cls()
        for key in keys:
            if key.kind == "job":
                books.jobs.add(key.of)
            elif key.kind in UNFINISHED:
                books.lists[key.name] = {one.decode() for one in key.value[::2]}
            elif key.kind == "user":
                group = key.pairs().get(b"group", b"").decode()
                books.groups.setdefault(group, set()).add(key.of)
        unfinished = set().union(*books.lists.values()) if books.lists else set()
        books.jobs -= unfinished & set(ended)
        books.lists = {name: ids & books.jobs for name, ids in books.lists.items()}
        return books

    def has(self, kind: str, user: str) -> bool:
        """Whether a user's list is not empty."""
        return bool(self.lists.get(f"{kind}:{user}"))

    def unfinished(self) -> int:
        """How many jobs go on."""
        return sum(len(ids) for ids in self.lists.values())


def mend(keys: Iterable[KeptKey], books: Books) -> Iterator[KeptKey]:
    """The keys to write, so that they agree with one another and with the store."""
    for key in keys:
        mended = _mended(key, books)
        if mended is not None and mended.value:
            yield mended


def _mended(key: KeptKey, books: Books) -> KeptKey | None:
    kind = key.kind
    if kind in OF_JOB:
        return _of_job(key) if key.of in books.jobs else None
    if kind in UNFINISHED or kind in ENDED:
        return _only(key, books.jobs)
    match kind:
        case "names":
            return _names(key, books.jobs)
        case "inflight":
            # no agent has these any more: their leases are over
            return _only(key, books.jobs, score=b"0")
        case "users":
            some = [one for one in key.value if _goes_on(one.decode(), books)]
            return msgspec.structs.replace(key, value=some)
        case "turns":
            return _turns(key, books)
        case "leader":
            # a number that only grows; whose it was does not matter
            return key.with_pairs({b"epoch": key.pairs().get(b"epoch", b"0")})
        case "override_meta":
            return key.with_pairs({b"rev": key.pairs().get(b"rev", b"0")})
    return key


def _of_job(key: KeptKey) -> KeptKey:
    """A worker that stayed behind is no fault of its job: it must not count against it."""
    if key.kind != "job":
        return key
    job = key.pairs()
    if job.get(b"state") in (b"RESERVED", b"RUNNING"):
        job[b"losses"] = str(int(job.get(b"losses", b"0")) - 1).encode()
    return key.with_pairs(job)


def _only(key: KeptKey, jobs: Collection[str], score: bytes | None = None) -> KeptKey:
    left = {one: score or at for one, at in key.pairs().items() if one.decode() in jobs}
    return key.with_pairs(left)


def _names(key: KeptKey, jobs: Collection[str]) -> KeptKey:
    """``p:<prompt_id>`` → number, job; ``k:<idempotency key>`` → number, job, prompt_id."""
    left = {
        name: value for name, value in key.pairs().items() if value.split(b" ")[1].decode() in jobs
    }
    return key.with_pairs(left)


def _goes_on(user: str, books: Books) -> bool:
    return any(books.has(kind, user) for kind in UNFINISHED)


def _turns(key: KeptKey, books: Books) -> KeptKey:
    """Users, or groups, with a job that may start."""
    if ":" in key.name:
        waiting = {user for user in books.groups.get(key.of, ()) if books.has("queue", user)}
    else:
        waiting = {
            group
            for group, users in books.groups.items()
            if any(books.has("queue", user) for user in users)
        }
    left = {one: at for one, at in key.pairs().items() if one.decode() in waiting}
    return key.with_pairs(left)
