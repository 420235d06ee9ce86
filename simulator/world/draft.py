"""Jobs to be: what is submitted, and what it will really take."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.states import Lane, NewJob
from simulator.world.machine import Work
from simulator.world.workload import WORKING_BYTES, Arrival

#: z of the 95 % that ``late_seconds`` promises, for log-normal errors
_Z95: Final = 1.645
_GROUP: Final = "everybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One job that will be submitted at ``at`` (s)."""

    at: float
    job: NewJob
    work: Work
    #: its user asks for little
    small: bool


def draft_jobs(
    arrivals: Sequence[Arrival], *, most_bytes: int, lie: float, seed: int
) -> list[Draft]:
    """Jobs of a workload, in its order.

    A job needs its model and ``WORKING_BYTES``, but never more than the smallest
    card has, so that all jobs can run.

    Args:
        arrivals: in order of time.
        most_bytes: no job needs more.
        lie: standard deviation of ``ln(estimate ÷ truth)`` of the run time; 0: truthful.
        seed: of the lies.
    """
    rng = random.Random(f"{seed}:lies")
    return [
        _draft(number, arrival, most_bytes, math.exp(rng.gauss(0, lie)) if lie else 1.0, lie)
        for number, arrival in enumerate(arrivals)
    ]


def _draft(number: int, arrival: Arrival, most_bytes: int, error: float, lie: float) -> Draft:
    model = arrival.model
    job_id = f"j{number:08}"
    name = f"checkpoints/{model.name}"
    size = min(model.bytes, most_bytes)
    need = min(model.bytes + WORKING_BYTES, most_bytes)
    seconds = arrival.run_seconds * error
    job = NewJob(
        id=job_id,
        user=arrival.user,
        group=_GROUP,
        prompt_id=job_id,
        client_id=None,
        lane=Lane.INTERACTIVE,
        front=False,
        fingerprint=model.name,
        models=(name,),
        need_bytes=need,
        need_seconds=seconds,
        needs_gpu=True,
        model_bytes=(size,),
        load_seconds=model.load_seconds,
        late_seconds=seconds * math.exp(_Z95 * lie),
    )
    work = Work(
        job=job_id,
        attempt=0,
        kind=model.name,
        models=(name,),
        model_bytes=(size,),
        peak_bytes=need,
        run_seconds=arrival.run_seconds,
        load_seconds=model.load_seconds,
    )
    return Draft(at=arrival.at, job=job, work=work, small=arrival.small)
