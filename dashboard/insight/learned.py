"""A learned profile in bytes and seconds: its ratios times what was guessed of its last run (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.api.workflow_shapes import Learned, ProfileStep
from scheduler.curve import Slowdown, is_known
from scheduler.profile import Profile
from scheduler.states import Job, Step


def learned(profile: Profile, job: Job | None) -> Learned:
    """What a profile says.

    Args:
        profile: of the kind itself, none of its parents.
        job: one of the kind that was booked lately, whose curve has the steps of the formulas too;
            None: only what runs have shown is told.
    """
    guess = profile.last
    need = int(guess.bytes * profile.bytes.bound.value)
    seconds = guess.seconds * profile.seconds.seen.quantile(0.5)
    curve = _curve(profile, Step(need, round(seconds, 3)), job)
    return {
        "runs": profile.count,
        "learned_ms": profile.at_ms,
        "need_bytes": need,
        "usual_bytes": int(guess.bytes * profile.bytes.seen.quantile(0.5)),
        "run_seconds": round(seconds, 3),
        "late_seconds": round(guess.seconds * profile.seconds.bound.value, 3),
        "load_seconds": round(guess.load_seconds * profile.load.quantile(0.5), 3),
        "floor_bytes": curve[0]["bytes"] if curve else need,
        "needed_bytes": int(guess.bytes * profile.needed),
        "too_small_bytes": int(guess.bytes * profile.too_small),
        "whole_ooms": profile.whole_ooms,
        "curve": curve,
    }


def _curve(profile: Profile, comfortable: Step, job: Job | None) -> list[ProfileStep]:
    seen, guessed = profile.slowdowns, profile.last.bytes
    if job is not None and job.need_bytes:
        # what was booked stands, with the steps that formulas offer beside the learned ones
        last = ProfileStep(
            bytes=job.need_bytes,
            seconds=job.need_seconds,
            measured=profile.bytes.bound.value > 0,
            runs=profile.count,
        )
        return [_step(step, seen, guessed) for step in job.curve] + [last]
    steps = [
        Step(int(one.share * guessed), round(one.ratio * profile.last.seconds, 3)) for one in seen
    ]
    smaller = sorted(
        (step for step in steps if 0 < step.bytes < comfortable.bytes), key=lambda one: one.bytes
    )
    listed = [_step(step, seen, guessed) for step in smaller]
    if comfortable.bytes:
        listed.append(
            {
                "bytes": comfortable.bytes,
                "seconds": comfortable.seconds,
                "measured": True,
                "runs": profile.count,
            }
        )
    return listed


def _step(step: Step, seen: Sequence[Slowdown], guessed: int) -> ProfileStep:
    near = [one for one in seen if abs(one.share * guessed - step.bytes) <= 0.06 * step.bytes]
    return {
        "bytes": step.bytes,
        "seconds": step.seconds,
        "measured": is_known(seen, step.bytes, guessed),
        "runs": sum(one.count for one in near),
    }
