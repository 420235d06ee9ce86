"""Rules about what happened to jobs and is over: slow nodes, memory (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from config.alert_rules import Rule
from dashboard.alerts.reading import Reading
from dashboard.alerts.scene import Scene
from dashboard.alerts.words import spell
from store.sights import EndedJob, LongRun

_GIB = 2**30
_FALLBACK = {"cpu": "it fell back to the CPU", "tiled": "it fell back to tiles"}


def node(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Nodes that took longer than the limit, and than ``factor`` times what is usual.

    Loading models is not counted: that is said by itself. What is usual is that of the same
    workflow; where nobody knows, the limit alone counts.
    """
    for run in scene.long_runs:
        if run.ended_ms < scene.now_ms - rule.lasts * 1000:
            continue
        seconds = run.seconds - run.load_seconds
        limit = rule.limit if run.usual is None else max(rule.limit, rule.factor * run.usual)
        yield Reading(
            subject=f"node:{run.class_type}",
            user=run.user,
            group=run.group,
            value=seconds,
            limit=limit,
            detail={
                "text": _slow(run, seconds),
                "job": run.job,
                "attempt": run.attempt,
                "node": run.node,
                "from_ms": run.started_ms,
                "until_ms": run.ended_ms,
                **({"fallback": run.fallback} if run.fallback else {}),
            },
        )


def _slow(run: LongRun, seconds: float) -> str:
    usual = "" if run.usual is None else f", usually {spell(run.usual)}"
    why = f"; {_FALLBACK[run.fallback]}" if run.fallback in _FALLBACK else ""
    return f"node {run.node} ({run.class_type}) took {spell(seconds)}{usual}{why}"


def oom(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Jobs of a user that ran out of memory, whether or not a second try succeeded."""
    for user, jobs in _by_user(rule, scene, lambda job: job.ooms > 0).items():
        last = jobs[0]
        failed = sum(job.reason == "oom" for job in jobs)
        text = f"{len(jobs)} jobs ran out of device memory, {failed} of them failed"
        yield _of_jobs(user, jobs, float(len(jobs)), f"{text}; {_memory(last)}")


def estimate(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """By what share a job took more than was foreseen and promised: the largest of each user's."""
    for user, jobs in _by_user(rule, scene, lambda job: _excess(job) > 0).items():
        worst = max(jobs, key=_excess)
        yield _of_jobs(user, [worst], _excess(worst), _memory(worst))


def _excess(job: EndedJob) -> float:
    promised = max(job.need_bytes, job.reserved_bytes)
    return job.peak_bytes / promised - 1 if promised else 0.0


def _memory(job: EndedJob) -> str:
    return (
        f"it took {job.peak_bytes / _GIB:.1f} GiB; {job.need_bytes / _GIB:.1f} GiB were foreseen, "
        f"{job.reserved_bytes / _GIB:.1f} GiB promised"
    )


def _by_user(
    rule: Rule, scene: Scene, wanted: Callable[[EndedJob], bool]
) -> dict[str, list[EndedJob]]:
    found: dict[str, list[EndedJob]] = defaultdict(list)
    for job in scene.ended:
        if job.ended_ms >= scene.now_ms - rule.lasts * 1000 and wanted(job):
            found[job.user].append(job)
    return found


def _of_jobs(user: str, jobs: list[EndedJob], value: float, text: str) -> Reading:
    last = jobs[0]
    return Reading(
        subject=f"user:{user}",
        user=user,
        group=last.group,
        value=value,
        detail={
            "text": text,
            "job": last.id,
            "prompt_id": last.prompt_id,
            "worker": last.worker,
            "gpu": last.gpu,
            "until_ms": last.ended_ms,
        },
    )
