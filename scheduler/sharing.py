"""What it is worth to let several workers compute on one GPU at the same time (pure)."""

from __future__ import annotations

from typing import Final

from scheduler.states import Job

#: Jobs per second of 1, 2, 3 and 4 busy workers relative to one. Measured on an H200, SDXL
#: 1024² x1, all workers warm: 0.485, 0.683 and 0.864 jobs/s of 1, 2 and 4 workers. Three was
#: not measured: it lies on ``n / (1 + 0.417 (n - 1))``, which meets both others within 0.5 %.
#: (SD 1.5 512² x1 gained 1.21, 1.48 and 1.61 with 2, 4 and 8 workers, x4 1.48, 1.64, 1.61.)
_GAIN: Final = (1.0, 1.41, 1.63, 1.78)


def gain(workers: int) -> float:
    """Throughput of so many busy workers on one GPU, relative to one.

    Beyond four workers nothing more was measured for large models, and small ones gained
    less than 9 % more with eight: it stays at what four give.

    Args:
        workers: workers that compute at the same time, warm; 0 gives 0.
    """
    if workers <= 0:
        return 0.0
    return _GAIN[min(workers, len(_GAIN)) - 1]


def even_stretch(beside: int) -> float:
    """How many times longer a job may run beside so many others until sharing stops to pay.

    With ``n`` others each does ``gain(n + 1) ÷ (n + 1)`` of its own speed, the job that much
    less again by its stretch; together that must still be ``gain(n)``: 2.39 beside one, 1.68
    beside two.

    Args:
        beside: jobs that already run there, at least 1.
    """
    rest = gain(beside) * (beside + 1) / gain(beside + 1) - beside
    return max(1.0, 1 / rest)


#: Share of the time of a load beside running jobs that is lost to the GPU: those jobs end
#: meanwhile, and nothing starts. The modelled mix is made soonest between 0.5 and 0.8
#: (``bench mix_orders``).
_LOST_TO_A_LOAD: Final = 0.7


def saved_beside(work: float, running: int) -> float:
    """Seconds by which a GPU has done some work sooner with one more worker beside those who run.

    Args:
        work: seconds of it, as it runs alone, for the one more worker.
        running: jobs beside it, at least 1.
    """
    lasts = work * (running + 1) / gain(running + 1)
    return lasts * (gain(running + 1) / gain(running) - 1)


def is_worth_a_load(work: float, load: float, running: int) -> bool:
    """Whether so much work for a copy of its own outweighs loading it beside so many jobs.

    Args:
        work: seconds of it, as it runs alone.
        load: seconds that the load takes there (``load_beside``).
        running: jobs beside it, at least 1.
    """
    return saved_beside(work, running) > _LOST_TO_A_LOAD * load


#: Seconds that a load takes longer for each GiB and each other worker that computes meanwhile:
#: SDXL's 6.46 GiB took 12 s longer beside one, 20 s beside two, 27 s beside three; SD 1.5's
#: 1.99 GiB 5, 10 and 12 s longer (measured on an H200).
_TURNS_SECONDS_PER_GIB: Final = 1.6
_GIB: Final = 2**30


def load_beside(job: Job, load: float, running: int) -> float:
    """Seconds in which a job loads its models beside so many others that compute.

    Args:
        job: that loads.
        load: seconds that it takes alone.
        running: jobs beside it.
    """
    return load + running * _TURNS_SECONDS_PER_GIB * sum(job.model_bytes) / _GIB


def hold_beside_load(job: Job, load: float) -> bool:
    """Whether nothing else should start on a GPU while this job loads its models.

    A load is many short copies, each of which waits for the others' turn. Where that
    makes it more than twice as long, the GPU gets more done if the others wait.

    Args:
        job: that loads.
        load: seconds that it takes alone.
    """
    return load_beside(job, load, 1) > 2 * load
