"""Rules about waiting, failing and spending (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from config.alert_rules import Rule
from config.alerts import RuleKind
from dashboard.alerts.reading import Reading
from dashboard.alerts.scene import Scene
from dashboard.alerts.words import spell
from scheduler.budgets import hours_text
from scheduler.states import Backlog, Job, WaitReason
from store.sights import EndedJob

#: Jobs that wait for these wait for their own user, or for an admin: nothing is wrong.
_OWN_REASONS: Final = frozenset({WaitReason.CAP, WaitReason.HELD, WaitReason.BUDGET})
#: Ended jobs that a share of failures is taken over.
FAILURES_MS: Final = 900_000
#: What the queue is compared with: so long ago, and a mean over so long.
_BEFORE_MS: Final = 1_800_000
_MEAN_MS: Final = 300_000


def wait(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """How long a user's jobs have waited with none of the user's having started."""
    for backlog in scene.snapshot.backlogs:
        head = head_of(backlog, rule)
        if head is None:
            continue
        waited = max(0, scene.now_ms - waits_since(backlog, head))
        reason = head.wait_reason.value if head.wait_reason else ""
        text = f"none of {backlog.queued} queued jobs has started for {spell(waited / 1000)}"
        yield Reading(
            subject=f"user:{backlog.user}",
            user=backlog.user,
            group=backlog.group,
            value=waited / 1000,
            detail={
                "text": text + (f": {head.wait_detail or reason}" if reason else ""),
                "job": head.id,
                "prompt_id": head.prompt_id,
                "reason": reason,
            },
        )


def head_of(backlog: Backlog, rule: Rule) -> Job | None:
    """The user's first job that the rule is about, and that waits for no one of its own."""
    for job in backlog.jobs:
        if rule.lane in ("", job.lane.value) and job.wait_reason not in _OWN_REASONS:
            return job
    return None


def waits_since(backlog: Backlog, head: Job) -> int:
    """Since it was posted, or since something of the user's started after that."""
    return max(head.submitted_ms, backlog.last_admitted_ms)


def queue(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Jobs that wait, where they are ``factor`` times those of half an hour ago."""
    backlogs = [
        one for one in scene.snapshot.backlogs if rule.concerns("pool", one.user, one.group)
    ]
    queued = sum(backlog.queued for backlog in backlogs)
    since = scene.now_ms - _BEFORE_MS
    then = [count for at_ms, count in scene.queue if since <= at_ms < since + _MEAN_MS]
    before = sum(then) / len(then) if then else 0.0
    yield Reading(
        subject="pool",
        value=float(queued),
        limit=max(rule.limit, rule.factor * before),
        detail={"text": f"{queued} jobs wait; half an hour ago there were {before:.0f}"},
    )


def failures(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Share of the jobs of 15 minutes that failed, over all and by worker."""
    jobs = [
        job
        for job in scene.ended
        if job.ended_ms >= scene.now_ms - FAILURES_MS
        and job.state in ("SUCCEEDED", "FAILED")
        and rule.concerns("pool", job.user, job.group)
    ]
    yield _failing(rule, "pool", jobs)
    for name in sorted({job.worker for job in jobs if job.worker}):
        yield _failing(rule, f"worker:{name}", [job for job in jobs if job.worker == name])


def _failing(rule: Rule, subject: str, jobs: list[EndedJob]) -> Reading:
    failed = [job for job in jobs if job.state == "FAILED"]
    share = len(failed) / len(jobs) if jobs else 0.0
    reasons = Counter(job.reason or "unknown" for job in failed)
    text = f"{len(failed)} of {len(jobs)} jobs failed within 15 minutes"
    if reasons:
        text += ": " + ", ".join(f"{name} {count}" for name, count in reasons.most_common(3))
    kind, _, name = subject.partition(":")
    where = {kind: name} if name else {}
    # two failures of three jobs say nothing yet
    return Reading(
        subject=subject,
        value=share if len(failed) >= rule.factor else 0.0,
        detail={"text": text, "job": failed[0].id if failed else "", **where},
    )


def budget(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Share of a month's budget that is used, hard or soft."""
    hard = rule.kind is RuleKind.BUDGET
    for one in scene.spending:
        budget_us = one.hard_us if hard else one.soft_us
        if budget_us is None:
            continue
        hours = f"{hours_text(one.used_us)} of {budget_us / 3.6e9:g} GPU hours of this month"
        then = "nothing more starts until the next" if hard else "everybody else goes first"
        yield Reading(
            subject=one.subject,
            user=one.user,
            group=one.group,
            value=one.used_us / budget_us if budget_us else 1.0,
            detail={"text": f"has used {hours}; beyond them {then}"},
        )


def lag(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """How long what happened has been waiting for the store."""
    behind = None if scene.behind_ms is None else scene.behind_ms / 1000
    yield Reading(
        subject="recorder",
        value=behind,
        detail={"text": f"what happened {spell(behind or 0)} ago is not in the store yet"},
    )
