"""The queues as one plan serves them: a line for each waiting user and lane (pure)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.decisions import Refuse, Wait
from scheduler.offers import Start
from scheduler.scene import Scene
from scheduler.states import Backlog, FailReason, Job, Lane, WaitReason

#: Jobs of a user that are looked at for one that some worker of the pool may run.
_LOOKED_AT: Final = 8


@dataclass(slots=True, eq=False)
class Line:
    """One user's waiting jobs of one lane, in the user's own order."""

    backlog: Backlog
    lane: Lane
    jobs: list[Job]
    #: its first job has been passed too often or waited too long: it goes before all turns
    forced: bool = False
    #: what could start, or why nothing; true of the scene as it was at ``stamp``
    start: Start | None = None
    wait: Wait | None = None
    stamp: int = -1

    @property
    def head(self) -> Job:
        """The job that is next by its user's own order."""
        return self.jobs[0]


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of the queues before anything was served."""

    lines: list[Line]
    refused: list[Refuse]
    #: lines that may not be served now, or nowhere, with the reason
    held: list[tuple[Line, Wait]]
    #: jobs that no running worker has the nodes or models for: they stand in no line
    lacking: list[Wait]


def open_lines(scene: Scene) -> Opened:
    """The lines that this plan looks at: users next by counters, and whoever is forced."""
    waiting = [backlog for backlog in scene.snapshot.backlogs if backlog.jobs]
    next_ones = _next_ones(scene, waiting)
    chosen = {id(backlog) for backlog in next_ones}
    late = [b for b in waiting if id(b) not in chosen and is_forced(scene, b.jobs[0])]
    opened = Opened([], [], [], [])
    for backlog in (*next_ones, *late):
        own: dict[Lane, list[Job]] = {Lane.INTERACTIVE: [], Lane.BATCH: []}
        for job in backlog.jobs:
            if job.deadline_ms and _expired(scene, job, opened.refused):
                continue
            if job.id in scene.config.refused:
                continue
            if not (job.requires and _is_lacking(scene, job, opened.lacking)):
                own[job.lane].append(job)
        for lane, jobs in own.items():
            if jobs:
                _open(scene, Line(backlog, lane, jobs), opened)
    return opened


def _is_lacking(scene: Scene, job: Job, lacking: list[Wait]) -> bool:
    wait = scene.equipment.lacking(job)
    if wait is not None:
        lacking.append(wait)
    return wait is not None


def _next_ones(scene: Scene, waiting: list[Backlog]) -> list[Backlog]:
    """Users next by counters; those of whom nothing can start take no place from the others."""
    heads = scene.config.heads
    first = heapq.nsmallest(heads, waiting, key=scene.counters.order)
    if len(first) == len(waiting) or not any(_is_stuck(scene, backlog) for backlog in first):
        return first
    able: list[Backlog] = []
    stuck: list[Backlog] = []
    for backlog in sorted(waiting, key=scene.counters.order):
        among = stuck if _is_stuck(scene, backlog) else able
        if len(among) < heads:
            among.append(backlog)
        if len(able) == heads:
            break
    return able + stuck


def _is_stuck(scene: Scene, backlog: Backlog) -> bool:
    """Whether none of a user's first jobs can start in this plan, whatever is free."""
    stranded = _all_stranded(scene, backlog.jobs[:_LOOKED_AT])
    return stranded or scene.caps.over(backlog.jobs[0]) is not None


def _all_stranded(scene: Scene, jobs: Sequence[Job]) -> bool:
    """Whether none of one user's jobs may run on any worker; each kind is asked about once."""
    kinds = {(job.requires, job.needs_gpu): job for job in jobs}
    return all(scene.is_stranded(job) for job in kinds.values())


def _open(scene: Scene, line: Line, opened: Opened) -> None:
    if _is_held_back(scene, line):
        text = "batch prompts wait: a peak of interactive work is expected"
        opened.held.append((line, Wait(line.head, WaitReason.HELD_FOR_HEAD, text)))
        return
    if _all_stranded(scene, line.jobs):
        # nothing of it could start wherever something is free: nobody passes it by either
        opened.held.append((line, scene.nobody_serves(line.head)))
        return
    line.forced = is_forced(scene, line.head)
    opened.lines.append(line)
    scene.waiting += line.jobs


def _is_held_back(scene: Scene, line: Line) -> bool:
    if not _is_in_peak(scene, line.head):
        return False
    old_from = scene.config.hold_old_until_ms
    if scene.now_ms < old_from:
        scene.look_again(old_from)
        return True
    return not _is_past(scene, line.head, scene.config.hold_ms)


def _is_in_peak(scene: Scene, job: Job) -> bool:
    """Whether it is a batch job, and a peak lasts or is near."""
    if job.lane is not Lane.BATCH or scene.now_ms >= scene.config.hold_until_ms:
        return False
    scene.look_again(scene.config.hold_until_ms)
    return True


def is_forced(scene: Scene, job: Job) -> bool:
    """Whether a line's first job has been passed too often, or has waited too long.

    A batch job is not while a peak lasts: what was held back would else age together and
    go before those for whom it was held.
    """
    if _is_in_peak(scene, job):
        return False
    return job.skips >= scene.config.max_skips or _is_past(scene, job, scene.config.aging_ms)


def _is_past(scene: Scene, job: Job, patience_ms: int) -> bool:
    due = job.submitted_ms + patience_ms
    if due <= scene.now_ms:
        return True
    scene.look_again(due)
    return False


def _expired(scene: Scene, job: Job, refused: list[Refuse]) -> bool:
    if not job.deadline_ms:
        return False
    if job.deadline_ms > scene.now_ms:
        scene.look_again(job.deadline_ms)
        return False
    waited = (scene.now_ms - job.submitted_ms) / 1000
    text = (
        f"The prompt was not started before its deadline: it had waited {waited:.0f} s. "
        "Send it again with a later deadline_s, or without one."
    )
    refused.append(Refuse(job, FailReason.EXPIRED, text))
    return True
