"""Caps of users, groups and the pool: filters that never reorder (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from scheduler.decisions import Wait
from scheduler.placement import Seat
from scheduler.plan_config import Limits, PlanConfig
from scheduler.states import Job, WaitReason

_NONE: Final = Limits()


class Caps:
    """What runs, counted against what may."""

    def __init__(self, config: PlanConfig, active: Iterable[Job], pool_bytes: int) -> None:
        self._config = config
        self._pool_bytes = pool_bytes
        self._running: dict[tuple[str, str], int] = {}
        self._bytes: dict[tuple[str, str], int] = {}
        self._seats: dict[tuple[tuple[str, ...], str], bool] = {}
        #: most pools cap nobody: then there is nothing to count
        self._some = _restricts(config.pool) or any(
            _restricts(limits) for limits in (*config.users.values(), *config.groups.values())
        )
        for job in active if self._some else ():
            self.count(job, job.reserved_bytes)

    def count(self, job: Job, bytes_: int) -> None:
        """Count a job that runs or was just admitted."""
        if not self._some:
            return
        for key, _ in self._levels(job):
            self._running[key] = self._running.get(key, 0) + 1
            self._bytes[key] = self._bytes.get(key, 0) + bytes_

    def over(self, job: Job) -> Wait | None:
        """Why the job may not start now, or None."""
        if self._config.closed:
            return Wait(job, WaitReason.MAINTENANCE, self._config.closed)
        if not self._some:
            return None
        for key, limits in self._levels(job):
            if limits.used_up:
                return Wait(job, WaitReason.BUDGET, f"{_name(key)} {limits.used_up}")
            if limits.max_running is not None:
                running = self._running.get(key, 0)
                if running >= limits.max_running:
                    return Wait(job, WaitReason.CAP, _too_many(key, running, limits.max_running))
            if limits.vram_share is not None:
                wait = self._over_share(job, key, limits.vram_share)
                if wait is not None:
                    return wait
        return None

    def allowed(self, job: Job, seat: Seat) -> bool:
        """Whether user and group may use this worker."""
        if not self._some:
            return True
        for _, limits in self._levels(job):
            if limits.workers and not self._matches(limits.workers, seat):
                return False
        return True

    def is_confined(self, job: Job) -> bool:
        """Whether user or group may use only some workers."""
        return any(limits.workers for _, limits in self._levels(job))

    def _levels(self, job: Job) -> Iterable[tuple[tuple[str, str], Limits]]:
        config = self._config
        yield ("user", job.user), config.users.get(job.user, _NONE)
        yield ("group", job.group), config.groups.get(job.group, _NONE)
        yield ("pool", ""), config.pool

    def _over_share(self, job: Job, key: tuple[str, str], share: float) -> Wait | None:
        allowed = int(share * self._pool_bytes)
        held = self._bytes.get(key, 0)
        # The first job may pass the share: one smaller than any job would otherwise be a ban.
        if not held or held + job.need_bytes <= allowed:
            return None
        text = (
            f"{_name(key)} holds {gib(held)} of the {gib(allowed)} it may; "
            f"this prompt needs {gib(job.need_bytes)}"
        )
        return Wait(job, WaitReason.CAP, text)

    def _matches(self, patterns: tuple[str, ...], seat: Seat) -> bool:
        key = (patterns, seat.worker.id)
        known = self._seats.get(key)
        if known is None:
            gpu = seat.card.gpu if seat.card else None
            names = [seat.worker.id, seat.worker.agent, *((gpu.id, gpu.name) if gpu else ())]
            known = any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
            self._seats[key] = known
        return known


def _restricts(limits: Limits) -> bool:
    caps = (limits.max_running, limits.vram_share)
    return bool(limits.workers or limits.used_up) or caps != (None, None)


def _name(key: tuple[str, str]) -> str:
    level, name = key
    return {"user": "the user", "group": f"group {name}", "pool": "the pool"}[level]


def _too_many(key: tuple[str, str], running: int, limit: int) -> str:
    if key[0] == "user":
        return f"{running} of the user's prompts are running; {limit} may"
    of = f" of group {key[1]}" if key[0] == "group" else ""
    return f"{running} prompts{of} are running; {limit} may"


def gib(bytes_: int) -> str:
    """``9867108352`` → ``"9.2 GiB"``, for people."""
    return f"{bytes_ / 2**30:.1f} GiB"
