"""The same graph with the same seed, computed again."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least, share_interval
from dashboard.advice.evidence import witnesses
from dashboard.advice.finding import (
    About,
    Chart,
    Dots,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    Tested,
    What,
)  # fmt: skip
from dashboard.advice.scene import Scene
from store.facts import JobFact

_LEAST: Final = 5
#: Some repeats are meant; so many of a user's jobs with a workflow are never spoken of.
_USUAL: Final = 0.05
#: A repeat whose nodes came from the cache for the most part cost nothing.
_CACHED: Final = 0.5


class Repeats:
    """Exact binomial test: more than 5 % of a user's jobs with a workflow are repeats."""

    kind = "repeats"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each user and workflow whose graphs could be read."""
        flows: dict[tuple[str, str], list[JobFact]] = defaultdict(list)
        for job in scene.facts.jobs:
            if job.digest and job.state == "SUCCEEDED":
                flows[job.user, job.fingerprint].append(job)
        tests = []
        for (user, fingerprint), jobs in sorted(flows.items()):
            if len(jobs) < _LEAST:
                continue
            again = _again(scene, jobs)
            p_value = at_least(len(again), len(jobs), _USUAL)
            build = partial(_finding, scene, user, fingerprint, jobs, again, p_value)
            tests.append(Tested(p_value, build))
        return tests


def _again(scene: Scene, jobs: list[JobFact]) -> list[JobFact]:
    """Those that were there before and were computed all the same."""
    seen: set[str] = set()
    found = []
    for job in sorted(jobs, key=lambda one: one.ended_ms):
        if job.digest in seen and not _from_cache(scene, job):
            found.append(job)
        seen.add(job.digest)
    return found


def _from_cache(scene: Scene, job: JobFact) -> bool:
    prompt = scene.prompts.get(job.id)
    if prompt is None:
        return False
    # nodes that are not even asked for again have no record: ``cached`` counts them
    return prompt.cached >= _CACHED * max(prompt.nodes, prompt.cached)


def _finding(
    scene: Scene,
    user: str,
    fingerprint: str,
    jobs: list[JobFact],
    again: list[JobFact],
    p_value: float,
) -> Finding:
    low, high = share_interval(len(again), len(jobs))
    different = len({job.digest for job in again})
    workers = {job.worker for job in again}
    return Finding(
        kind=Repeats.kind,
        subject=f"{user}/{fingerprint}",
        title=f"{len(again)} of {words.count(len(jobs), 'run')} of workflow "
        f"{words.short(fingerprint)} made pictures that were there already",
        cause=f"The same graph with the same seed ran again: {words.count(different, 'graph')}, "
        f"{words.count(len(again), 'repeat')}, on {words.count(len(workers), 'worker')}. ComfyUI's "
        "cache no longer had the results, or had them on another worker.",
        remedies=(
            "Take the picture from the history instead of running its graph again.",
            "Where another picture was wanted: set the seed to “randomize” after each run.",
        ),
        gain=Gain(What.GPU_TIME, *scene.a_day(job.run_seconds for job in again)),
        effect=Effect(len(again) / len(jobs), low, high, "share"),
        proof=Proof(
            f"Exact binomial test: more than {words.share(_USUAL)} of the jobs are repeats that "
            "were computed",
            p_value,
            len(again),
            len(jobs),
        ),
        figures=(
            Figure("repeats", len(again)),
            Figure("different graphs among them", different),
            Figure("time that they took", sum(job.run_seconds for job in again), "s"),
        ),
        charts=(
            Chart("time of a repeat", "s", (
                Dots("repeats", tuple(round(job.run_seconds, 3) for job in again[-60:])),
            )),
        ),
        jobs=witnesses(scene, ((job.id, words.seconds(job.run_seconds)) for job in again)),
        about=About(fingerprints=(fingerprint,)),
        users=(user,),
    )  # fmt: skip
