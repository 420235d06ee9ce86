"""A workflow's curve of time over memory: which smaller reservations it also runs in (pure).

Told that it has less, ComfyUI (0.3.64, measured on an H200) first passes fewer
pictures at a time through the VAE, then moves weights out for the VAE's turn, then
tiles the VAE and keeps a part of the weights in host memory. It decides so by its
own bookings, up to twice what the VAE really takes, and is told accordingly more than it
is promised (``scheduler.told``). Each of these ways is a step here: the bytes that it
takes, and what it costs in time.

What runs have shown replaces the formula's times and adds steps of its own, and nothing
is offered that ran out of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.guess import CONTEXT_BYTES, VAE_BYTES_PER_PIXEL, Parts
from scheduler.states import Step
from scheduler.workflow.features import Features

#: What the VAE allocates over what torch reserves for it where it may: 2,177 to 2,250 of
#: 2,880 bytes per pixel. What is reserved is elastic, and costs no time to do without.
_ALLOCATED: Final = 2_250 / VAE_BYTES_PER_PIXEL
#: The VAE's work on one picture with the other weights moved out, and what that adds to its
#: time: for 3840×2160 15.5 GiB reserved (2.2 → 2.48 s), or 11.5 GiB without room for
#: cuDNN's workspace (2.2 → 3.95 s).
_APART: Final = ((2_000 / VAE_BYTES_PER_PIXEL, 0.15), (1_400 / VAE_BYTES_PER_PIXEL, 0.9))
#: Beside weights and work: ComfyUI's least inference memory is 0.8 GiB, 0.4 GiB are kept.
_SPARE_BYTES: Final = 858_993_459
#: Share of the weights that stays on the device at the floor: SDXL ran in 6 GiB.
_FLOOR_SHARE: Final = 0.8
#: Passing a batch of four through the VAE picture by picture: 2.65 → 3.19 s for the whole run.
_SPLIT_FACTOR: Final = 1.2
#: Moving weights out and in again: 1.1 s for 6.46 GiB.
_MOVE_SECONDS_PER_BYTE: Final = 1.1 / 6.94e9
#: At the floor: sampling with a part of the weights in host memory, and the VAE in tiles:
#: SDXL 1.5 → 3.7 s, a batch of four 2.65 → 7.2 s, 3840×2160 in the VAE 2.2 → 12.55 s.
_PARTIAL_FACTOR: Final = 2.7
_TILED_FACTOR: Final = 6.0
#: A step is offered only where it saves at least this share.
_LEAST_SAVING: Final = 0.05
#: Kept slowdowns of one workflow.
_MOST_SEEN: Final = 8
#: Learned slowdowns speak for steps within this share of their reservation.
_NEAR: Final = 0.06
#: From so many runs on, a reservation that was tried is a step of its own.
_BELIEVED: Final = 2


@dataclass(frozen=True, slots=True)
class Slowdown:
    """What runs with a smaller reservation took."""

    #: reservation ÷ the workflow's guessed footprint
    share: float
    #: their mean run time ÷ the guessed one
    ratio: float
    #: how many they were
    count: int


def curve(
    features: Features,
    parts: Parts,
    comfortable: Step,
    *,
    seen: Sequence[Slowdown] = (),
    scale: tuple[float, float] = (1.0, 1.0),
    too_small: int = 0,
) -> tuple[Step, ...]:
    """The smaller reservations, fewest bytes first, each faster than the one before.

    Args:
        features: of the workflow.
        parts: what its bytes and seconds consist of.
        comfortable: its need and its time with that.
        seen: what runs with less took, in shares of the formulas' bytes and seconds.
        scale: guessed bytes, guessed seconds: what ``seen`` refers to.
        too_small: reservations up to this one ran out of memory.
    """
    if comfortable.bytes <= 0:
        return ()
    factor = comfortable.seconds / parts.seconds if parts.seconds > 0 else 1.0
    stretch = max(1.0, comfortable.bytes / scale[0]) if scale[0] > 0 else 1.0
    steps = [
        Step(int(CONTEXT_BYTES + (bytes_ - CONTEXT_BYTES) * stretch), seconds * factor)
        for bytes_, seconds in _ways(features, parts)
    ]
    steps = [_corrected(step, seen, scale) for step in steps]
    bytes_, seconds_ = scale
    steps += [Step(int(s.share * bytes_), s.ratio * seconds_) for s in seen if s.count >= _BELIEVED]
    return _falling(steps, comfortable, too_small)


def _ways(features: Features, parts: Parts) -> Iterator[tuple[int, float]]:
    """ComfyUI's ways to do with less: (footprint, seconds)."""
    batch = max(1, features.vae_pixels // max(1, features.decode_pixels))
    one = parts.vae_bytes / batch
    lean = _ALLOCATED * one
    yield (
        parts.footprint(parts.weight_bytes + max(parts.sample_bytes, lean * batch)),
        parts.seconds,
    )
    for pictures in sorted({batch // 2, 1} - {0, batch}):
        split = parts.weight_bytes + max(parts.sample_bytes, lean * pictures)
        share = 1 + (_SPLIT_FACTOR - 1) / pictures
        yield parts.footprint(split), parts.seconds * share
    sampling = parts.weight_bytes + max(parts.sample_bytes, _SPARE_BYTES)
    # without a sampler nothing is moved back in
    moving = parts.weight_bytes * _MOVE_SECONDS_PER_BYTE if parts.sample_seconds else 0.0
    slower = parts.seconds * (_SPLIT_FACTOR if batch > 1 else 1.0)
    for work, longer in _APART:
        apart = max(sampling, work * one + _SPARE_BYTES)
        yield parts.footprint(apart), slower + moving + parts.vae_seconds * longer
    slower = parts.sample_seconds * _PARTIAL_FACTOR + parts.vae_seconds * _TILED_FACTOR
    floor = _FLOOR_SHARE * parts.weight_bytes + _SPARE_BYTES
    yield parts.footprint(floor), slower + parts.other_seconds


def is_known(seen: Sequence[Slowdown], bytes_: int, guessed: int) -> bool:
    """Whether runs have shown, often enough to be believed, what so small a reservation costs.

    Args:
        seen: what runs with less took.
        bytes_: the reservation.
        guessed: the formulas' footprint, which ``seen`` refers to.
    """
    near = (s for s in seen if abs(s.share * guessed - bytes_) <= _NEAR * bytes_)
    return sum(s.count for s in near) >= _BELIEVED


def _corrected(step: Step, seen: Sequence[Slowdown], scale: tuple[float, float]) -> Step:
    bytes_, seconds = scale
    near = [s for s in seen if abs(s.share * bytes_ - step.bytes) <= _NEAR * step.bytes]
    if not near:
        return step
    count = sum(s.count for s in near)
    return Step(step.bytes, seconds * sum(s.ratio * s.count for s in near) / count)


def _falling(steps: list[Step], comfortable: Step, too_small: int) -> tuple[Step, ...]:
    """Only steps that are worth it: faster than all smaller ones, clearly smaller than larger ones."""
    faster: list[Step] = []
    for step in sorted(steps, key=lambda step: (step.bytes, step.seconds)):
        seconds = round(max(step.seconds, comfortable.seconds), 3)
        if step.bytes > too_small and (not faster or seconds < faster[-1].seconds):
            faster.append(Step(step.bytes, seconds))
    kept = [comfortable]
    for step in reversed(faster):
        if step.bytes <= kept[-1].bytes * (1 - _LEAST_SAVING):
            kept.append(step)
    return tuple(reversed(kept[1:]))


def learned(seen: Sequence[Slowdown], share: float, ratio: float) -> tuple[Slowdown, ...]:
    """What was seen, with one more run below the comfortable peak.

    Args:
        seen: so far; few, they are merged where they are near.
        share: its reservation ÷ the guessed footprint.
        ratio: its run time ÷ the guessed one.
    """
    near = next((s for s in seen if abs(s.share - share) <= _NEAR * share), None)
    count = min(20, near.count + 1) if near else 1
    mean = near.ratio + (ratio - near.ratio) / count if near else ratio
    largest = max(near.share, share) if near else share
    merged = Slowdown(round(largest, 4), round(mean, 4), count)
    others = [s for s in seen if s is not near]
    return tuple(sorted([*others, merged], key=lambda s: s.share)[-_MOST_SEEN:])
