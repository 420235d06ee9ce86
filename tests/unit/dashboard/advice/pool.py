"""A pool's facts, made up: with no effect anywhere, or with one that was planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from store.facts import (
    ClassCount,
    Facts,
    GpuHour,
    JobFact,
    MoveFact,
    NodeFact,
    PromptFact,
    Sampling,
    WaitFact,
)

GIB = 2**30
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FROM_MS = 1_700_006_400_000
UNTIL_MS = FROM_MS + 7 * DAY_MS
USERS = ("ann", "bob", "cleo", "dan")
GPUS = ("gpu-0", "gpu-1")
SAMPLERS = ("euler", "dpmpp_2m", "ddim")


@dataclass
class Pool:
    """Grows run by run."""

    randomness: Random
    jobs: list[JobFact] = field(default_factory=list)
    nodes: list[NodeFact] = field(default_factory=list)
    prompts: list[PromptFact] = field(default_factory=list)
    moves: list[MoveFact] = field(default_factory=list)
    waits: list[WaitFact] = field(default_factory=list)
    hours: list[GpuHour] = field(default_factory=list)
    idle: dict[int, frozenset[str]] = field(default_factory=dict)
    classes: list[ClassCount] = field(default_factory=list)

    def jitter(self, seconds: float) -> float:
        """Times of a shared GPU: skewed to the right."""
        return seconds * self.randomness.lognormvariate(0.0, 0.25)

    def job(self, at_ms: int, **changes: Any) -> JobFact:
        number = len(self.jobs)
        gpu = changes.get("gpu", self.randomness.choice(GPUS))
        facts: dict[str, Any] = {
            "id": f"job-{number}",
            "user": self.randomness.choice(USERS),
            "fingerprint": f"flow-{number % 5}",
            "model": f"checkpoints/m{number % 3}",
            "state": "SUCCEEDED",
            "reason": "",
            "gpu": gpu,
            "worker": f"{gpu}-w",
            "needs_gpu": True,
            "reserved_bytes": 8 * GIB,
            "peak_bytes": int(8 * GIB * self.randomness.uniform(0.78, 0.99)),
            "run_seconds": self.jitter(10.0),
            "submitted_ms": at_ms - 12_000,
            "admitted_ms": at_ms - 11_000,
            "started_ms": at_ms - 10_000,
            "ended_ms": at_ms,
            "digest": f"graph-{number}",
        }
        self.jobs.append(JobFact(**facts | changes))
        return self.jobs[-1]

    def node(self, job: JobFact, class_type: str, seconds: float, **changes: Any) -> NodeFact:
        facts: dict[str, Any] = {
            "job": job.id,
            "user": job.user,
            "node": "3" if "Sampler" in class_type else "8",
            "class_type": class_type,
            "started_ms": job.started_ms,
            "seconds": self.jitter(seconds),
            "failed": False,
            "error": "",
            "before_bytes": 4 * GIB,
            "peak_bytes": 6 * GIB,
            "fallback": "",
            "batch": 1,
            "width": 1024,
            "height": 1024,
        }
        self.nodes.append(NodeFact(**facts | changes))
        return self.nodes[-1]

    def prompt(self, job: JobFact, **changes: Any) -> PromptFact:
        facts: dict[str, Any] = {
            "job": job.id,
            "user": job.user,
            "worker": job.worker,
            "gpu": job.gpu,
            "started_ms": job.started_ms,
            "seconds": job.run_seconds,
            "nodes": 7,
            "cached": 0,
            "peak_reserved": 6 * GIB,
            "allocated_after": 5 * GIB + self.randomness.randrange(GIB),
            "retained_bytes": 0,
            "limit_bytes": job.reserved_bytes,
        }
        self.prompts.append(PromptFact(**facts | changes))
        return self.prompts[-1]

    def load(self, job: JobFact, **changes: Any) -> None:
        facts: dict[str, Any] = {
            "worker": job.worker,
            "boot": "b",
            "at_ms": job.started_ms,
            "job": job.id,
            "node": "4",
            "load": True,
            "model": job.model,
            "bytes": 4 * GIB,
            "loaded_bytes": 4 * GIB,
            "seconds": 3.0,
        }
        self.moves.append(MoveFact(**facts | changes))

    def facts(self) -> Facts:
        return Facts(
            from_ms=FROM_MS,
            until_ms=UNTIL_MS,
            jobs=tuple(self.jobs),
            nodes=tuple(self.nodes),
            prompts=tuple(self.prompts),
            moves=tuple(self.moves),
            waits=tuple(self.waits),
            hours=tuple(self.hours),
            idle=self.idle,
            classes=tuple(self.classes),
        )


def quiet_pool(seed: int, jobs: int = 240) -> Pool:
    """A week in which nothing makes anything slower: whatever is found in it is chance."""
    pool = Pool(Random(seed))
    for number in range(jobs):
        at_ms = FROM_MS + 7 * DAY_MS * (number + 1) // jobs
        sampler = Sampling(sampler=pool.randomness.choice(SAMPLERS), scheduler="normal", steps=20)
        job = pool.job(at_ms, sampling={"3": sampler})
        batch = pool.randomness.choice((1, 2, 4))
        pool.node(job, "KSampler", 5.0 * batch, batch=batch)
        # chance alone says which decodes are marked as fallen back
        tiled = pool.randomness.random() < 0.1
        pool.node(job, "VAEDecode", 0.5 * batch, batch=batch, fallback="tiled" if tiled else "")
        pool.prompt(job)
        if pool.randomness.random() < 0.05:
            pool.load(job)
        if pool.randomness.random() < 0.01:
            pool.node(job, "LoadImage", 0.1, failed=True, error="ValueError")
    pool.classes = [ClassCount(class_type="LoadImage", runs=jobs, failures=jobs // 100)]
    quiet_hours(pool)
    return pool


def quiet_hours(pool: Pool) -> None:
    """GPUs are idle now and then, and not because of whoever waits."""
    for hour in range(7 * 24):
        at_ms = FROM_MS + hour * HOUR_MS
        for gpu in GPUS:
            pool.hours.append(gpu_hour(gpu, at_ms, idle=pool.randomness.randrange(40)))
        user = pool.randomness.choice(USERS)
        reason = pool.randomness.choice(("cap", "no_headroom", "fairness"))
        for minute in range(0, 60, 6):
            when = at_ms + minute * 60_000
            pool.waits.append(wait(when, user, reason))
            if pool.randomness.random() < 0.2:
                pool.idle[when] = frozenset({pool.randomness.choice(GPUS)})


def wait(minute_ms: int, user: str, reason: str, **changes: Any) -> WaitFact:
    facts: dict[str, Any] = {"blocker": "gpu:gpu-0", "job_ms": 20_000}
    return WaitFact(minute_ms=minute_ms, user=user, reason=reason, **facts | changes)


def gpu_hour(gpu: str, hour_ms: int, **changes: Any) -> GpuHour:
    facts: Mapping[str, Any] = {
        "gpu": gpu,
        "hour_ms": hour_ms,
        "known": 60,
        "idle": 0,
        "total_bytes": 24 * GIB,
        "foreign_bytes": GIB,
        "temperature": 70,
    }
    return GpuHour(**{**facts, **changes})


def change(pool: Pool, seconds: float, **where: Any) -> int:
    """Multiply the time of the nodes with these values; how many there were."""
    changed = 0
    for place, node in enumerate(pool.nodes):
        if all(getattr(node, name) == value for name, value in where.items()):
            pool.nodes[place] = replace(node, seconds=node.seconds * seconds)
            changed += 1
    return changed
