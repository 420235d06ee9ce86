"""Runs all finders over the facts, and lets through what stands, whatever else was looked at."""

from __future__ import annotations

from random import Random
from typing import Final

from dashboard.advice.chance import told
from dashboard.advice.finders.batches import Batches
from dashboard.advice.finders.cap import Cap
from dashboard.advice.finders.failing import Failing
from dashboard.advice.finders.idle_gpu import IdleGpu
from dashboard.advice.finders.leak import Leak
from dashboard.advice.finders.overestimate import Overestimate
from dashboard.advice.finders.partial_load import PartialLoad
from dashboard.advice.finders.repeats import Repeats
from dashboard.advice.finders.slow_gpu import SlowGpu
from dashboard.advice.finders.slow_sampler import SlowSampler
from dashboard.advice.finders.thrash import Thrash
from dashboard.advice.finders.vae_fallback import VaeFallback
from dashboard.advice.finding import Finder, Finding, What
from dashboard.advice.scene import Scene
from store.facts import Facts

#: Expected share of what is told that is chance.
LEVEL: Final = 0.05
#: Seconds a day below which nobody is told.
LEAST_A_DAY: Final = 2.0

FINDERS: Final[tuple[Finder, ...]] = (
    VaeFallback(),
    PartialLoad(),
    SlowSampler(),
    Thrash(),
    Batches(),
    Repeats(),
    Failing(),
    Cap(),
    IdleGpu(),
    SlowGpu(),
    Leak(),
    Overestimate(),
)


def advise(
    facts: Facts, randomness: Random, finders: tuple[Finder, ...] = FINDERS
) -> list[Finding]:
    """All advice on these facts, what gains most first.

    Every test that any finder made goes through one guard (Benjamini and Hochberg): of all that is
    told, at most ``LEVEL`` is expected to be chance. What is told but gains too little is dropped
    afterwards.
    """
    scene = Scene(facts, randomness)
    tests = [test for finder in finders for test in finder.find(scene)]
    stands = told([test.p_value for test in tests], LEVEL)
    built = [test.build() for test, stand in zip(tests, stands, strict=True) if stand]
    found = [one for one in built if one is not None and one.gain.expected >= LEAST_A_DAY]
    return sorted(found, key=order)


def order(finding: Finding) -> tuple[bool, float, str]:
    """What gains most first; what only could be used, last."""
    spare = finding.gain.what is What.SPARE
    return spare, -finding.gain.expected, finding.id
