"""Who asks for what: models, users with bursts of jobs, and how far estimates are from the truth."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from random import Random
from typing import Final

from scheduler.states import Guess, Lane, NewJob
from simulator.chaos.truth import Fate, Truth

_GIB: Final = 2**30
#: name → weights, bytes
MODELS: Final = {
    f"checkpoints/m{n}.safetensors": int(size * _GIB)
    for n, size in enumerate((2.0, 3.5, 4.0, 6.5, 9.0, 12.0))
}
_LORA: Final = ("loras/style.safetensors", int(0.2 * _GIB))
#: estimates exceed the truth by up to this share, where they are honest
_GENEROUS: Final = 0.15
_LIE_SIGMA: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What jobs are like in one episode: shares of all jobs."""

    lies: bool
    fails: float = 0.03
    hangs: float = 0.0
    kills: float = 0.0
    batch: float = 0.3
    deadline: float = 0.05


def new_id(rng: Random) -> str:
    """A lowercase uuid4."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def draw_truth(rng: Random, habits: Habits) -> Truth:
    """What one job will do."""
    name = rng.choice(list(MODELS))
    models = {name: MODELS[name]}
    if rng.random() < 0.2:
        models[_LORA[0]] = _LORA[1]
    pick = rng.random()
    fate = Fate.GOOD
    for share, bad in (
        (habits.fails, Fate.NODE_ERROR),
        (habits.hangs, Fate.HANGS),
        (habits.kills, Fate.KILLS),
    ):
        if pick < share:
            fate = bad
            break
        pick -= share
    return Truth(
        models=models,
        activation_bytes=int(rng.uniform(0.3, 5.0) * _GIB),
        load_seconds_per_gib=rng.uniform(0.2, 0.8),
        steps=rng.randint(3, 12),
        step_seconds=rng.choice((0.2, 0.5, 1.0, 2.0, 4.0)),
        fate=fate,
        honest=not habits.lies,
    )


def draw_job(rng: Random, habits: Habits, user: str, group: str, truth: Truth) -> NewJob:
    """The job as a gateway hands it in: with estimates, not with the truth."""
    job_id = new_id(rng)
    factor = 1 + rng.uniform(0.0, _GENEROUS)
    if not truth.honest:
        factor = rng.lognormvariate(0.0, _LIE_SIGMA)
    seconds = truth.run_seconds * rng.lognormvariate(0.0, 0.2)
    need_bytes = int(truth.need_bytes * factor)
    return NewJob(
        id=job_id,
        user=user,
        group=group,
        prompt_id=job_id,
        client_id=f"client-{user}",
        lane=Lane.BATCH if rng.random() < habits.batch else Lane.INTERACTIVE,
        front=rng.random() < 0.05,
        fingerprint=f"fp-{next(iter(truth.models))}-{truth.steps}",
        models=tuple(truth.models),
        model_bytes=tuple(truth.models.values()),
        need_bytes=need_bytes,
        need_seconds=seconds,
        late_seconds=seconds * 1.8,
        load_seconds=truth.load_seconds,
        needs_gpu=True,
        idempotency_key=new_id(rng) if rng.random() < 0.5 else None,
        deadline_s=rng.uniform(20, 300) if rng.random() < habits.deadline else None,
        guess=Guess(need_bytes, seconds, truth.load_seconds),
    )
