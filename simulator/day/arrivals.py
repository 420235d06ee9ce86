"""Which prompts are posted when: from a seed, by the hours of each kind of work."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate
from typing import Final

from scheduler.states import Lane, NewJob
from simulator.day.studio import HABITS, PEOPLE, WEEK, Habit
from simulator.day.workflows import WORKFLOWS, Workflow
from simulator.world.draft import Draft
from simulator.world.machine import Work

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
#: seconds between prompts of one burst, in the mean
_BURST_S: Final = 6.0
#: estimates of times are wrong by so much: standard deviation of ln(estimate ÷ truth)
_LIE: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One prompt, and what a world needs to play it."""

    draft: Draft
    workflow: Workflow
    #: as posted, JSON
    body: bytes
    #: of all that is random about its runs
    seed: int
    #: what it will really take at its peak
    peak_bytes: int


def post(seed: int, from_ms: int, days: int, jobs: int) -> list[Posted]:
    """All prompts of some days, in order of time; ``jobs`` in an ordinary day."""
    rng = random.Random(f"{seed}:arrivals")
    wanted = [one for day in range(days) for one in _day(rng, from_ms, day, jobs)]
    return [
        _posted(rng, at, habit, sampler_seed)
        for at, habit, sampler_seed in sorted(wanted, key=lambda one: one[0])
    ]


def _day(
    rng: random.Random, from_ms: int, day: int, jobs: int
) -> Iterator[tuple[float, Habit, int]]:
    for habit in HABITS:
        weekday = datetime.fromtimestamp(from_ms / 1000 + day * _DAY_S, UTC).weekday()
        left = round(jobs * habit.share * WEEK[weekday])
        while left > 0:
            at = day * _DAY_S + _moment(rng, habit.hours, from_ms)
            for _ in range(min(left, rng.randint(1, habit.burst))):
                sampler_seed = rng.getrandbits(48)
                yield at, habit, sampler_seed
                left -= 1
                if left and rng.random() < habit.repeats:
                    left -= 1
                    yield at + rng.uniform(20, 900), habit, sampler_seed
                at += rng.expovariate(1 / _BURST_S)


def _moment(rng: random.Random, hours: tuple[float, ...], from_ms: int) -> float:
    """Seconds after ``from_ms``, within a day, by weights of hours of the clock."""
    first_s = from_ms // 1000 % _DAY_S
    sums = list(accumulate(hours))
    drawn = rng.random() * sums[-1]
    hour = next(place for place, total in enumerate(sums) if drawn <= total)
    return float((hour * _HOUR_S + rng.random() * _HOUR_S - first_s) % _DAY_S)


@cache
def _fingerprint(workflow: str) -> str:
    return WORKFLOWS[workflow].fingerprint()


def _posted(rng: random.Random, at: float, habit: Habit, sampler_seed: int) -> Posted:
    workflow = WORKFLOWS[habit.workflow]
    job_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    need = workflow.need_bytes
    low, high = workflow.use
    # a few use nearly all of what they are promised
    share = rng.uniform(0.955, 0.995) if rng.random() < 0.03 else rng.uniform(low, high)
    expected = workflow.seconds * rng.lognormvariate(0, _LIE)
    models = tuple(workflow.models)
    sizes = tuple(workflow.models.values())
    body = json.dumps({"prompt": workflow.graph(sampler_seed)}).encode()
    draft = Draft(
        at=at,
        job=NewJob(
            id=job_id,
            user=habit.user,
            group=PEOPLE[habit.user],
            prompt_id=job_id,
            client_id=f"{habit.user}-browser",
            lane=habit.lane,
            front=False,
            fingerprint=_fingerprint(workflow.name),
            models=models,
            need_bytes=need,
            need_seconds=expected,
            needs_gpu=True,
            model_bytes=sizes,
            load_seconds=workflow.load_seconds,
            late_seconds=expected * 1.3,
        ),
        work=Work(
            job=job_id,
            attempt=0,
            kind=workflow.name,
            models=models,
            model_bytes=sizes,
            peak_bytes=need,
            run_seconds=workflow.seconds,
            load_seconds=workflow.load_seconds,
        ),
        small=habit.lane is Lane.INTERACTIVE,
    )
    return Posted(
        draft=draft,
        workflow=workflow,
        body=body,
        seed=rng.getrandbits(32),
        peak_bytes=int(need * share),
    )
