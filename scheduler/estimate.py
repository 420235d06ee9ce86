"""What a job will need: device bytes, seconds, its curve, from its graph and from past runs.

A kind that was never seen is taken from the formulas (``scheduler.guess``),
corrected by what other kinds of the same base model showed. A kind's own runs count
from the first one on; until there are eight of them, doubt is added that ends
where the formulas, so corrected, are surer. Sources and figures are in
``docs/decisions/0007-what-a-job-will-need.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.bound import BYTES, ENOUGH
from scheduler.curve import curve
from scheduler.guess import CONTEXT_BYTES, Parts, guess, parts_of, weight_bytes
from scheduler.profile import Known, Profile
from scheduler.states import Guess, Step
from scheduler.workflow.features import Features

__all__ = ["CONTEXT_BYTES", "Estimate", "Priors", "estimate", "priors"]

#: Other kinds' runs pull the formulas down to this share above the largest of them.
_COARSE_DOUBT: Final = 0.05
#: Where nothing is known: hardly any run takes longer than this times the guess.
_UNKNOWN_LATE: Final = 2.0
#: Host memory of a ComfyUI process without models (torch, CUDA libraries, its nodes).
_PROCESS_BYTES: Final = 2 << 30
#: Out of memory alone on a whole GPU so often: it is proven not to fit there.
PROVEN_OOMS: Final = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to book."""

    #: device footprint with context: the comfortable peak, which it hardly ever exceeds; 0: no GPU
    bytes: int
    #: expected run time with that and its models loaded
    seconds: float
    #: run time that it exceeds in 5 % of runs
    late_seconds: float
    #: loading all its models on an empty worker
    load_seconds: float
    #: smaller reservations that it also runs in, fewest bytes first
    curve: tuple[Step, ...]
    #: host memory of its worker
    host_bytes: int
    #: below this it is not started
    floor_bytes: int
    #: it cannot run on a GPU of so many bytes: it ran out of memory alone there twice; 0: not proven
    infeasible_bytes: int
    #: True: this very kind was never measured
    cold: bool
    #: what the formulas say, before anything learned
    guess: Guess


@dataclass(frozen=True, slots=True)
class Priors:
    """What coarser kinds make of the formulas: factors on them."""

    bytes: float = 1.0
    seconds: float = 1.0
    late: float = _UNKNOWN_LATE
    load: float = 1.0


def priors(coarser: Sequence[Profile | None]) -> Priors:
    """Corrections of the formulas.

    Args:
        coarser: profiles of a workflow's ``parents``, nearest first, that of everything
            last; None where nothing is known.
    """
    known = [profile for profile in coarser if profile is not None]
    near = [profile for profile in coarser[:-1] if profile is not None]
    timed = next((p for p in known if p.seconds.seen.weight >= ENOUGH), None)
    loaded = next((p for p in known if p.load.weight >= ENOUGH), None)
    seconds = timed.seconds.seen.quantile(0.5) if timed else 1.0
    return Priors(
        bytes=_prior_bytes([p.bytes for p in near], [p.bytes for p in known]),
        seconds=seconds,
        late=max(seconds, timed.seconds.bound.value) if timed else _UNKNOWN_LATE,
        load=loaded.load.quantile(0.5) if loaded else 1.0,
    )


def _prior_bytes(near: Sequence[Known], known: Sequence[Known]) -> float:
    """The nearest kind with enough runs corrects both ways; any other only upwards."""
    tops = [k.seen.quantile(1 - (k.bound.alpha or BYTES.target)) for k in known]
    for top, kind in zip(tops, near, strict=False):
        if kind.seen.weight >= ENOUGH:
            return max(top, min(top * (1 + _COARSE_DOUBT), 1.0))
    return max([1.0, *tops])


def estimate(features: Features, profiles: Sequence[Profile | None] = ()) -> Estimate:
    """Estimates a job's need.

    Args:
        features: of its workflow.
        profiles: of ``features.fingerprint``, then of all ``features.parents`` in their
            order, None where nothing is known; none at all is fine.
    """
    own, *coarser = profiles or (None,)
    own = own or Profile()
    prior, guessed = priors(coarser), guess(features)
    seconds, late = _seconds(own.seconds, prior, guessed)
    load = own.load.quantile(0.5) or prior.load
    if not features.needs_gpu:
        cold = own.seconds.seen.weight == 0
        return Estimate(0, seconds, late, 0.0, (), 0, 0, 0, cold, guessed)
    parts = parts_of(features)
    need = int(guessed.bytes * (own.bytes.bound.value or prior.bytes))
    steps = _curve(features, parts, own, guessed, Step(need, seconds))
    infeasible = guessed.bytes * own.whole_share if own.whole_ooms >= PROVEN_OOMS else 0
    return Estimate(
        bytes=need,
        seconds=seconds,
        late_seconds=late,
        load_seconds=round(guessed.load_seconds * load, 3),
        curve=steps,
        host_bytes=_PROCESS_BYTES + weight_bytes(features),
        floor_bytes=steps[0].bytes if steps else need,
        infeasible_bytes=int(infeasible),
        cold=own.bytes.bound.value == 0,
        guess=guessed,
    )


def _curve(
    features: Features, parts: Parts, own: Profile, guessed: Guess, comfortable: Step
) -> tuple[Step, ...]:
    return curve(
        features,
        parts,
        comfortable,
        seen=own.slowdowns,
        scale=(guessed.bytes, guessed.seconds),
        too_small=int(own.too_small * guessed.bytes),
    )


def _seconds(own: Known, prior: Priors, guessed: Guess) -> tuple[float, float]:
    """(expected, hardly ever exceeded)."""
    if own.seen.weight == 0:
        expected, late = prior.seconds, prior.late
    else:
        expected, late = own.seen.quantile(0.5), own.bound.value
    seconds = guessed.seconds * expected
    return round(seconds, 3), round(max(seconds, guessed.seconds * late), 3)
