"""What a kind of workflow needed before: one small record per fingerprint (pure).

Everything is a ratio to what the formulas say of the run's own workflow
(``states.Guess``): so runs of one kind that differ a little in size, and kinds that
share a base model, correct one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from scheduler.accuracy import Accuracy
from scheduler.bound import BYTES, SECONDS, Bound, Rule, learn, raise_after_oom
from scheduler.curve import Slowdown, learned
from scheduler.histogram import Histogram, add
from scheduler.states import Guess

#: Change it when the formulas change, so that old ratios do not mislead: they are dropped.
VERSION: Final = 2
#: Longest ``about``, in characters.
MOST_ABOUT: Final = 64


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one quantity."""

    seen: Histogram = field(default_factory=Histogram)
    bound: Bound = field(default_factory=Bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind's runs so far."""

    v: int = VERSION
    #: for people: whose kind it is
    about: str = ""
    #: runs that ended well
    count: int = 0
    #: when the last of them was learned
    at_ms: int = 0
    #: device footprint ÷ guessed
    bytes: Known = field(default_factory=Known)
    #: run time with models loaded ÷ guessed
    seconds: Known = field(default_factory=Known)
    #: loading time ÷ guessed
    load: Histogram = field(default_factory=Histogram)
    #: runs below the comfortable peak
    slowdowns: tuple[Slowdown, ...] = ()
    #: most that a run could not do without (a probe's word) ÷ guessed footprint; 0: not known
    needed: float = 0.0
    #: largest smaller reservation that ran out of memory ÷ guessed footprint
    too_small: float = 0.0
    #: times in a row that it ran out of memory alone on a whole GPU
    whole_ooms: int = 0
    #: the largest such GPU ÷ guessed footprint
    whole_share: float = 0.0
    accuracy: Accuracy = field(default_factory=Accuracy)
    #: what was guessed of its last run, to show ratios as bytes and seconds
    last: Guess = field(default_factory=Guess)


def add_success(profile: Profile, guess: Guess, now_ms: int) -> Profile:
    """One more run that ended well, of which so much was guessed: it does fit somewhere."""
    newest = max(profile.at_ms, now_ms)
    return replace(
        profile, count=profile.count + 1, at_ms=newest, last=guess, whole_ooms=0, whole_share=0.0
    )


def add_bytes(profile: Profile, ratio: float, now_ms: int, prior: float) -> Profile:
    """One more measured peak.

    Args:
        profile: what was known.
        ratio: peak ÷ guessed footprint.
        now_ms: when it was measured.
        prior: the ratio that would be believed without runs of this kind.
    """
    return replace(profile, bytes=_known(BYTES, profile.bytes, ratio, now_ms, prior))


def add_seconds(profile: Profile, ratio: float, now_ms: int, prior: float) -> Profile:
    """One more run time with models loaded; arguments as for ``add_bytes``."""
    return replace(profile, seconds=_known(SECONDS, profile.seconds, ratio, now_ms, prior))


def add_load(profile: Profile, ratio: float, now_ms: int) -> Profile:
    """One more loading time."""
    return replace(profile, load=add(profile.load, ratio, now_ms))


def add_slowdown(profile: Profile, share: float, ratio: float) -> Profile:
    """One more run below the comfortable peak; ``share`` and ``ratio`` as in ``Slowdown``."""
    return replace(profile, slowdowns=learned(profile.slowdowns, share, ratio))


def add_needed(profile: Profile, ratio: float) -> Profile:
    """A run that had all it wanted could not have done with less than this ÷ guessed footprint."""
    return replace(profile, needed=max(profile.needed, round(ratio, 4)))


def add_oom(profile: Profile, needed: float, now_ms: int) -> Profile:
    """It ran out of memory with all it was believed to need; it needs at least so much.

    Args:
        profile: what was known.
        needed: raised from what was in use ÷ guessed footprint.
        now_ms: when.
    """
    bound = raise_after_oom(BYTES, profile.bytes.bound, needed)
    seen = add(profile.bytes.seen, bound.value, now_ms)
    return replace(profile, bytes=Known(seen, bound))


def add_small_oom(profile: Profile, share: float) -> Profile:
    """It ran out of memory with a smaller reservation than its comfortable peak."""
    return replace(profile, too_small=max(profile.too_small, round(share, 4)))


def add_whole_oom(profile: Profile, share: float) -> Profile:
    """It ran out of memory alone on a whole GPU of this size ÷ guessed footprint."""
    worst = max(profile.whole_share, round(share, 4))
    return replace(profile, whole_ooms=profile.whole_ooms + 1, whole_share=worst)


def _known(rule: Rule, known: Known, ratio: float, now_ms: int, prior: float) -> Known:
    seen = add(known.seen, ratio, now_ms)
    return Known(seen, learn(rule, known.bound, seen, ratio, prior))


def to_json(profile: Profile) -> str:
    """One line of JSON that ``from_json`` reads."""
    return msgspec.json.encode(profile).decode()


class _AnyProfile(msgspec.Struct):
    v: int = 0


_any = msgspec.json.Decoder(_AnyProfile).decode
_decode = msgspec.json.Decoder(Profile).decode


def from_json(text: str | bytes) -> Profile | None:
    """Reads a profile; None: one of another version, whose ratios mean something else.

    Raises:
        ValueError: the text is no profile; drop the record, it will be learned again.
    """
    if _any(text).v != VERSION:
        return None
    profile = _decode(text)
    problem = _problem(profile)
    if problem:
        raise ValueError(f"a profile's {problem} must be >= 0: drop this record")
    return profile


def _problem(profile: Profile) -> str:
    """The first number that cannot be one of a profile's."""
    numbers: dict[str, Any] = {
        "count": [profile.count, profile.at_ms],
        "bytes": _numbers(profile.bytes),
        "seconds": _numbers(profile.seconds),
        "load": [n for bucket in profile.load.buckets for n in bucket[1:]],
        "slowdowns": [n for s in profile.slowdowns for n in (s.share, s.ratio, s.count)],
        "floors": [profile.needed, profile.too_small, profile.whole_ooms, profile.whole_share],
        "accuracy": [*profile.accuracy.byte_errors, *profile.accuracy.second_errors],
        "last": [profile.last.bytes, profile.last.seconds, profile.last.load_seconds],
    }
    return next((name for name, values in numbers.items() if any(n < 0 for n in values)), "")


def _numbers(known: Known) -> list[float]:
    buckets = [number for bucket in known.seen.buckets for number in bucket[1:]]
    return [*buckets, known.bound.value, known.bound.alpha, known.seen.at_ms]
