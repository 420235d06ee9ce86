"""What one ended attempt teaches (pure).

Without a probe an attempt's peak is the highest that its *process* held, which
includes what earlier jobs left there: an upper bound on the job's own need. So
only a run that began on an empty worker teaches its bytes as they are; any
other teaches them only where they are lower than what was believed.

A run with less than its comfortable peak says nothing of that peak: it teaches the
curve. Nor does one that was told a limit or found its GPU crowded, unless it took more
than was believed: ComfyUI does with what it finds, and a need that is learned from what was
left would shrink from run to run. A run that loaded models teaches how long loading takes, any other
how long the work takes.

A probe tells more: whether the run had all it wanted. Where it did not come near its limit
and no node fell back, its peak is what it needs. Where one did, the need was believed too
small, and the run says nothing of how long the work takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from scheduler.accuracy import count_bytes, count_seconds
from scheduler.estimate import Priors, priors
from scheduler.profile import (
    MOST_ABOUT,
    Profile,
    add_bytes,
    add_load,
    add_needed,
    add_oom,
    add_seconds,
    add_slowdown,
    add_small_oom,
    add_success,
    add_whole_oom,
)
from scheduler.states import TERMINAL, FailReason, Job, JobState

#: Need after an out-of-memory: a fifth more than was in use, at least 256 MiB more
#: (the rule of Kubernetes' vertical autoscaler).
_OOM_FACTOR: Final = 1.2
_OOM_STEP: Final = 256 << 20
#: After a fall-back, which ended well, a little more than was promised will do.
_SQUEEZED_FACTOR: Final = 1.05
#: A retry asks for at least that much more than was promised; see ``worker_agent.verdict``.
_RETRY_FACTOR: Final = 1.2
#: A reservation below this share of the need is one of the curve's steps.
_FULL: Final = 0.97
#: Above this share of the need the rest is torch's spare: a run without it is as fast, where a
#: probe says that nothing fell back.
_ELASTIC: Final = 0.9
#: With room for so much more than the guess ComfyUI does nothing to save memory: it books
#: 4,356 bytes per pixel for the VAE, of which 2,880 are the guess.
_ROOMY: Final = 1.5
#: A reservation of at least this share of a GPU is all that can be had there.
_WHOLE: Final = 0.85
#: A run that took this share of its limit might have taken more.
_AT_LIMIT: Final = 0.97
#: A run that was thought to be warm but spent this share of its time loading was not.
_LOADED: Final = 0.1
#: Loading is never shorter than this share of what the formulas say.
_LEAST_LOAD: Final = 0.05
#: What a profile is about, by how coarse it is.
_KINDS: Final = ("this", "same base model and size", "same base model", "everything")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt ran, as far as is known; 0: not known."""

    #: total of its GPU
    gpu_bytes: int = 0
    #: of that, what others left to its worker
    room_bytes: int = 0
    #: its worker keeps within what it is told
    limited: bool = False


_ANYWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class _Run:
    """A job's last attempt, in ratios to what was guessed of it."""

    job: Job
    own: Profile
    prior: Priors
    now_ms: int
    place: Place

    @property
    def small(self) -> bool:
        """It ran with less than its comfortable peak."""
        job = self.job
        return 0 < job.reserved_bytes < _FULL * job.need_bytes

    @property
    def slowed(self) -> bool:
        """It ran with so little that this may have cost time."""
        job = self.job
        elastic = job.probed is not None and not job.probed.squeezed
        return self.small and not (elastic and job.reserved_bytes >= _ELASTIC * job.need_bytes)

    @property
    def peak(self) -> float:
        return self.job.peak_bytes / self.job.guess.bytes

    @property
    def measured(self) -> bool:
        """Its peak is a sample of what this kind needs."""
        if self.small or self.job.peak_bytes <= 0 or self.job.guess.bytes <= 0:
            return False
        above = self.peak > (self.own.bytes.bound.value or self.prior.bytes)
        if self._cramped:
            return self.job.clean and above
        # a bound on the need says something only where it lies below what was believed
        return self.job.clean or not above

    @property
    def _cramped(self) -> bool:
        """It may have taken less than it would have liked."""
        probed = self.job.probed
        if probed is not None and probed.limit_bytes:
            return probed.squeezed or self.job.peak_bytes >= _AT_LIMIT * probed.limit_bytes
        room = self.place.room_bytes
        return self.place.limited or 0 < room < _ROOMY * self.job.guess.bytes

    @property
    def squeezed(self) -> bool:
        """It fell back to less memory though it had all it was believed to need."""
        probed = self.job.probed
        return probed is not None and probed.squeezed and not self.small

    @property
    def loaded(self) -> bool:
        """Models were loaded, in a run that had all it needed."""
        probed, planned = self.job.probed, self.job.granted_load_seconds > 0
        if probed is None or self.small:
            return planned
        return probed.loads > 0 if planned else self.surprised

    @property
    def surprised(self) -> bool:
        """It was thought to find its models loaded, and did not."""
        probed, planned = self.job.probed, self.job.granted_load_seconds > 0
        if probed is None or planned:
            return False
        return probed.load_seconds > _LOADED * self.job.run_seconds

    def taught(self, profile: Profile, prior: Priors, *, own: bool) -> Profile:
        """A profile of this run's kind, or of a coarser one, with the run in it."""
        if self.squeezed:
            return self._raised(profile) if own else profile
        if self.measured and (own or self.job.clean):
            profile = add_bytes(profile, self.peak, self.now_ms, prior.bytes)
        profile = self._timed(profile, prior, own=own)
        if own and self.needed:
            profile = add_needed(profile, self.needed)
        return self._compared(add_success(profile, self.job.guess, self.now_ms))

    @property
    def needed(self) -> float:
        """What it could not do without ÷ guess, of a run that had all it wanted; 0: not known."""
        probed = self.job.probed
        if probed is None or self.small or not self.job.clean or self.job.guess.bytes <= 0:
            return 0.0
        return probed.needed_bytes / self.job.guess.bytes

    def _raised(self, profile: Profile) -> Profile:
        """With a larger need; at a whole GPU there is no more to be had."""
        job, whole = self.job, self.place.gpu_bytes
        profile = add_success(profile, job.guess, self.now_ms)
        if job.guess.bytes <= 0 or (whole and job.reserved_bytes >= _WHOLE * whole):
            return profile
        had = job.reserved_bytes or job.need_bytes
        return add_oom(profile, _SQUEEZED_FACTOR * had / job.guess.bytes, self.now_ms)

    def _timed(self, profile: Profile, prior: Priors, *, own: bool) -> Profile:
        job = self.job
        took = job.run_seconds / job.guess.seconds
        loaded = self.loaded
        if self.surprised:
            return profile
        if self.slowed:
            share = job.reserved_bytes / max(1, job.guess.bytes)
            return profile if loaded or not own else add_slowdown(profile, share, took)
        if not loaded:
            return add_seconds(profile, took, self.now_ms, prior.late)
        part = job.granted_load_seconds / job.load_seconds if job.load_seconds > 0 else 1.0
        whole = job.guess.load_seconds * min(1.0, part)
        if whole <= 0:
            return profile
        rest = job.run_seconds - job.guess.seconds * self._warm
        if job.probed is not None:
            rest = max(rest, job.probed.load_seconds)
        return add_load(profile, max(_LEAST_LOAD, rest / whole), self.now_ms)

    @property
    def _warm(self) -> float:
        return self.own.seconds.seen.quantile(0.5) or self.prior.seconds

    def _compared(self, profile: Profile) -> Profile:
        job, accuracy = self.job, profile.accuracy
        if self.slowed:
            return profile
        if job.clean and self.measured:
            accuracy = count_bytes(accuracy, job.need_bytes, job.peak_bytes)
        if not self.loaded and job.late_seconds > 0:
            accuracy = count_seconds(accuracy, job.need_seconds, job.late_seconds, job.run_seconds)
        return replace(profile, accuracy=accuracy)


def lesson(
    job: Job,
    known: Mapping[str, Profile | None],
    now_ms: int,
    place: Place = _ANYWHERE,
) -> dict[str, Profile]:
    """What a job's last attempt teaches: the profiles that it changes.

    Args:
        job: after an attempt that succeeded or ran out of memory; of one that has not
            ended, the figures are those of the attempt that ran out of memory.
        known: profiles of its fingerprint and of its parents.
        now_ms: server time.
        place: where it ran.
    """
    if job.guess.seconds <= 0:  # queued by an older version
        return {}
    own = known.get(job.fingerprint) or Profile(about=_about(job, 0))
    prior = priors([known.get(name) for name in job.parents])
    if job.state not in TERMINAL:
        # queued for its retry, or admitted to it already: that promise is not the one that failed
        job = replace(job, reserved_bytes=0)
    run = _Run(job, own, prior, now_ms, place)
    if job.state not in TERMINAL or job.reason is FailReason.OOM:
        return _out_of_memory(run)
    if job.state is not JobState.SUCCEEDED or job.run_seconds <= 0:
        return {}
    taught = {job.fingerprint: run.taught(own, prior, own=True)}
    for level, name in enumerate(job.parents, start=1):
        coarse = known.get(name) or Profile(about=_about(job, level))
        beyond = priors([known.get(further) for further in job.parents[level:]])
        taught[name] = run.taught(coarse, beyond, own=False)
    return taught


def _out_of_memory(run: _Run) -> dict[str, Profile]:
    job, taught = run.job, run.own
    believed = job.guess.bytes * (taught.bytes.bound.value or run.prior.bytes)
    # a requeued job's reservation is gone; its need was raised only if it had all it asked for
    small = run.small or (not job.reserved_bytes and job.need_bytes <= believed)
    had = job.reserved_bytes or int(job.peak_bytes if small else job.need_bytes / _RETRY_FACTOR)
    if job.probed is not None and job.probed.limit_bytes:
        had = job.probed.limit_bytes
        small = had < _FULL * believed
    if job.guess.bytes <= 0 or job.peak_bytes <= 0 or 2 * job.peak_bytes < had:
        return {}  # far below what it was promised: another process took that
    if small:
        taught = add_small_oom(taught, had / job.guess.bytes)
    else:
        needed = _more(max(job.peak_bytes, had))
        taught = add_oom(taught, needed / job.guess.bytes, run.now_ms)
    whole = run.place.gpu_bytes
    if whole and job.reserved_bytes >= _WHOLE * whole:
        taught = add_whole_oom(taught, whole / job.guess.bytes)
    return {job.fingerprint: taught}


def _more(used: int) -> int:
    """What to promise where so much was not enough."""
    return max(used + _OOM_STEP, int(used * _OOM_FACTOR))


def _about(job: Job, level: int) -> str:
    """For people: which models, how coarse."""
    names = [PurePosixPath(model).stem for model in job.models] or ["no model"]
    text = "" if level >= len(_KINDS) - 1 else " + ".join(names)
    if level:
        text = f"{_KINDS[level]}: {names[0]}" if text else _KINDS[level]
    return text[:MOST_ABOUT]
