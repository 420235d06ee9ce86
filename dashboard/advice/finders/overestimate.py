"""Reservations far above what workflows take, which keep neighbours out."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least
from dashboard.advice.evidence import dots, witnesses
from dashboard.advice.finding import (
    About,
    Chart,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    Tested,
    What,
)  # fmt: skip
from dashboard.advice.ranks import median, ratio
from dashboard.advice.resample import sum_interval
from dashboard.advice.scene import MINUTE_MS, Scene
from store.facts import JobFact

_LEAST: Final = 8
#: Reservations keep a margin; above this they are too large.
_MARGIN: Final = 1.25


class Overestimate:
    """Sign test: in more than half of the runs the reservation is over 1.25 times the peak."""

    kind = "overestimate"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each workflow that ran on a GPU often enough."""
        flows: dict[str, list[JobFact]] = defaultdict(list)
        for job in scene.facts.jobs:
            measured = job.peak_bytes > 0 and job.reserved_bytes > 0
            if job.needs_gpu and measured and job.state == "SUCCEEDED" and job.fingerprint:
                flows[job.fingerprint].append(job)
        tests = []
        for fingerprint, jobs in sorted(flows.items()):
            if len(jobs) < _LEAST:
                continue
            above = sum(job.reserved_bytes > _MARGIN * job.peak_bytes for job in jobs)
            p_value = at_least(above, len(jobs), 0.5)
            build = partial(_finding, scene, fingerprint, jobs, above, p_value)
            tests.append(Tested(p_value, build))
        return tests


def _finding(
    scene: Scene, fingerprint: str, jobs: list[JobFact], above: int, p_value: float
) -> Finding | None:
    blocked = [_blocked(scene, job) for job in jobs]
    if not any(blocked):
        return None  # nobody waited for the room
    reserved = [float(job.reserved_bytes) for job in jobs]
    peaks = [float(job.peak_bytes) for job in jobs]
    factor = ratio(reserved, peaks)
    _, high = sum_interval(blocked, scene.randomness)
    return Finding(
        kind=Overestimate.kind,
        subject=fingerprint,
        title=f"Workflow {words.short(fingerprint)} is promised {words.times(factor.by)} the memory "
        "it takes",
        cause=f"Its jobs were promised {words.memory(median(sorted(reserved)))} and took "
        f"{words.memory(median(sorted(peaks)))}; meanwhile others' jobs waited for room on the "
        f"same GPU for {words.seconds(sum(blocked))}.",
        remedies=(
            "Let its curve be learned again: `vramgate profiles show` says what is known of it; a "
            "few runs with a probe bring the promise down to what it takes.",
            "Where its worker has no probe: install it there, so that peaks are measured "
            "(docs/probe.md).",
        ),
        # the room alone does not end every wait: at worst, none of it
        gain=Gain(What.WAITING, sum(blocked) / scene.days / 2, 0.0, high / scene.days),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=Proof(
            f"One-sided sign test: the reservation is above {_MARGIN} times the peak in more than "
            "half of the runs; waits of the same minutes on the same GPU",
            p_value,
            above,
            len(jobs),
        ),
        figures=(
            Figure("promised", median(sorted(reserved)), "B"),
            Figure("taken", median(sorted(peaks)), "B"),
            Figure("others' waits for room meanwhile", sum(blocked), "s"),
        ),
        charts=(
            Chart("memory of a run", "B", (dots("promised", reserved), dots("taken", peaks))),
        ),
        jobs=witnesses(scene, (
            (job.id, f"{words.memory(job.reserved_bytes)} promised, {words.memory(job.peak_bytes)} taken")
            for job in jobs
            if job.reserved_bytes > _MARGIN * job.peak_bytes
        )),
        about=About(fingerprints=(fingerprint,)),
    )  # fmt: skip


def _blocked(scene: Scene, job: JobFact) -> float:
    """Seconds that other users' jobs waited for room while this one held too much of its GPU."""
    if job.reserved_bytes <= _MARGIN * job.peak_bytes:
        return 0.0
    begin, end = job.admitted_ms - job.admitted_ms % MINUTE_MS, job.ended_ms
    inside = [scene.headroom_waits.get(minute, {}) for minute in range(begin, end, MINUTE_MS)]
    held = (job.ended_ms - job.admitted_ms) / max(1, len(inside) * MINUTE_MS)
    mine = (f"gpu:{job.gpu}", f"user:{job.user}", f"worker:{job.worker}")
    waited = sum(
        seconds
        for minute in inside
        for (user, blocker), seconds in minute.items()
        if user != job.user and blocker in mine
    )
    return waited * held
