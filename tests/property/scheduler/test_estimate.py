"""Whatever runs come, estimates keep their rules (I19); planted mutants prove the checks bite."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.measured import MeasuredRun
from scheduler import bound as bounds
from scheduler import curve as curves
from scheduler import estimate as estimates
from scheduler import histogram as histograms
from scheduler import profile as profiles
from scheduler.bound import BYTES, Bound
from scheduler.estimate import Estimate, estimate
from scheduler.histogram import HALF_LIFE_MS, Histogram, add
from scheduler.profile import (
    Profile,
    add_bytes,
    add_oom,
    add_seconds,
    add_slowdown,
    add_small_oom,
    from_json,
    to_json,
)
from scheduler.states import Step
from scheduler.workflow.features import Features, features

RATIOS = st.floats(0.05, 20.0)
#: between one sample and the next: mostly minutes, at times weeks, at times a clock step back
GAPS = st.sampled_from([60_000, 60_000, 3_600_000, 3 * HALF_LIFE_MS, -HALF_LIFE_MS])
#: a run's peak, or None: it ran out of memory
LIVES = st.lists(st.tuples(st.one_of(RATIOS, st.none()), GAPS), min_size=1, max_size=40)


@st.composite
def kinds(draw: st.DrawFn) -> Features:
    run = MeasuredRun(
        case="x",
        checkpoint=draw(st.sampled_from(["sd15", "sdxl", "flux", "mine"])),
        width=64 * draw(st.integers(4, 64)),
        height=64 * draw(st.integers(4, 64)),
        batch=draw(st.integers(1, 16)),
        steps=draw(st.sampled_from([0, 1, 20, 60])),
        seconds=1.0,
        peak_bytes=0,
        cold=False,
        limit_bytes=None,
    )
    size = draw(st.sampled_from([0, 2_132_625_150, 6_938_041_144, 23_800_000_000]))
    return features(run.graph(), sizes={f"checkpoints/{run.checkpoint}.safetensors": size})


def lived(life: Sequence[tuple[float | None, int]]) -> list[Profile]:
    """The profile after each event of a life."""
    now, profile, after = 10 * HALF_LIFE_MS, Profile(), []
    for ratio, gap in life:
        now += gap
        if ratio is None:
            profile = add_oom(profile, 0.8 * (profile.bytes.bound.value or 1.0), now)
        else:
            profile = add_bytes(profile, ratio, now, 1.0)
        after.append(profile)
    return after


def bound_of(profile: Profile | None) -> int:
    return estimate(KIND, [profile, None, None, None]).bytes


def a_kind() -> Features:
    run = MeasuredRun(
        case="x", checkpoint="sdxl", width=1024, height=1024, batch=4, steps=12, seconds=1.0,
        peak_bytes=0, cold=False, limit_bytes=None,
    )  # fmt: skip
    return features(run.graph(), sizes={"checkpoints/sdxl.safetensors": 6_938_041_144})


KIND = a_kind()


def check_oom(life: Sequence[tuple[float | None, int]]) -> None:
    """Out of memory raises the bound of its kind strictly."""
    after = [None, *lived(life)]
    for (ratio, _), before, now in zip(life, after, after[1:], strict=False):
        if ratio is None and before is not None:
            assert bound_of(now) > bound_of(before)


def check_below(life: Sequence[tuple[float | None, int]]) -> None:
    """A run below the bound never raises it."""
    after = lived(life)
    for (ratio, _), before, now in zip(life[1:], after, after[1:], strict=False):
        if ratio is not None and ratio <= before.bytes.bound.value:
            assert bound_of(now) <= bound_of(before)


def check_cover(ratio: float, gap: int) -> None:
    """What was seen three times in a row is covered, and not by much more."""
    found = lived([(ratio, gap)] * 3)[-1].bytes.bound.value
    assert ratio <= found <= ratio * 1.05


def check_parents(few: int, ratio: float) -> None:
    """A kind that was never seen takes its parents' bound; few of their runs only raise it."""
    parent = lived([(ratio, 60_000)] * few)[-1]
    found, cold = estimate(KIND, [None, parent, None, None]), estimate(KIND)
    if ratio > 1:
        assert found.bytes >= int(ratio * cold.bytes) - 1
    if few < 8:
        assert found.bytes >= cold.bytes
    elif ratio < 0.9:
        assert ratio * cold.bytes <= found.bytes <= ratio * 1.051 * cold.bytes + 1


def check_histogram(values: Sequence[tuple[float, int]]) -> None:
    """Small, in order, never below the largest recent value, weights that fade."""
    histogram, now = Histogram(), 10 * HALF_LIFE_MS
    for value, gap in values:
        before, now = histogram.weight, now + gap
        histogram = add(histogram, value, now)
        assert histogram.weight <= before + 1.001
        assert histogram.quantile(1.0) >= value
    assert len(histogram.buckets) <= 14
    tops = [top for _, _, top in histogram.buckets]
    assert tops == sorted(tops)
    quantiles = [histogram.quantile(share / 10) for share in range(11)]
    assert quantiles == sorted(quantiles)
    if len(values) > 1 and all(gap > 0 for _, gap in values):
        assert histogram.weight < len(values)


def check_curve(kind: Features, profile: Profile) -> None:
    """Steps rise in bytes, fall in seconds, and end below the need; the floor is the first."""
    found = estimate(kind, [profile, None, None, None])
    whole = Step(found.bytes, found.seconds)
    for less, more in itertools.pairwise([*found.curve, whole]):
        assert 0 < less.bytes < more.bytes
        assert less.seconds >= more.seconds > 0
    assert found.floor_bytes == (found.curve[0].bytes if found.curve else found.bytes)
    small = int(profile.too_small * found.guess.bytes)
    assert all(step.bytes > small for step in found.curve)
    assert found.late_seconds >= found.seconds > 0


@st.composite
def limited(draw: st.DrawFn) -> Profile:
    """A kind with runs below its comfortable peak, and some that failed there."""
    profile = draw(LIVES.map(lambda life: lived(life)[-1]))
    for share, ratio in draw(st.lists(st.tuples(st.floats(0.05, 1.2), RATIOS), max_size=12)):
        profile = add_slowdown(profile, share, ratio)
    for ratio in draw(st.lists(RATIOS, max_size=3)):
        profile = add_seconds(profile, ratio, 1, 2.0)
    return add_small_oom(profile, draw(st.sampled_from([0.0, 0.2, 0.5, 2.0])))


CHECKS: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "oom": (check_oom, (LIVES,)),
    "below": (check_below, (LIVES,)),
    "cover": (check_cover, (RATIOS, st.just(60_000))),
    "parents": (check_parents, (st.integers(1, 12), RATIOS)),
    "histogram": (check_histogram, (st.lists(st.tuples(RATIOS, GAPS), max_size=60),)),
    "curve": (check_curve, (kinds(), limited())),
}


def run(name: str, examples: int) -> None:
    check, given_by = CHECKS[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*given_by))
    def searched(arguments: tuple[Any, ...]) -> None:
        check(*arguments)

    searched()


@pytest.mark.parametrize("name", CHECKS)
def test_the_rules_hold(name: str) -> None:
    run(name, 150)


@given(profile=limited())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_profiles_go_through_json(profile: Profile) -> None:
    assert from_json(to_json(profile)) == profile


@given(kind=kinds())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_every_estimate_is_whole(kind: Features) -> None:
    found: Estimate = estimate(kind)
    assert found.cold
    assert found.bytes > found.guess.bytes * 0.999
    assert found.host_bytes > 0
    assert found.load_seconds > 0


# ── planted mistakes ─────────────────────────────────────────────────────────


def only_from_use(rule: bounds.Rule, bound: Bound, needed: float) -> Bound:
    """Out of memory at less than was promised raises nothing."""
    return Bound(max(bound.value, needed), bound.alpha)


def last_quantile(
    rule: bounds.Rule, bound: Bound, history: Histogram, sample: float, prior: float
) -> Bound:
    """The bound follows the quantile wherever it goes."""
    loose = dataclasses.replace(rule, firm=False)
    return bounds.learn(loose, bound, history, sample, prior)


def no_doubt(rule: bounds.Rule, seen: float, count: float, prior: float) -> float:
    """The largest seen, and nothing above it... or below it."""
    return seen * 0.99


def boldly(near: Sequence[profiles.Known], known: Sequence[profiles.Known]) -> float:
    """One run of another kind is believed both ways."""
    return next((k.seen.quantile(0.99) for k in known if k.seen.weight), 1.0)


def without_parents(near: Sequence[profiles.Known], known: Sequence[profiles.Known]) -> float:
    return 1.0


def unfaded(histogram: Histogram, now_ms: int) -> dict[int, histograms.Bucket]:
    return {bucket[0]: bucket for bucket in histogram.buckets}


def rounded_down(value: float) -> float:
    return value * 0.98


def unmerged(buckets: list[histograms.Bucket]) -> list[histograms.Bucket]:
    return buckets


def all_steps(steps: list[Step], comfortable: Step, too_small: int) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.bytes))


MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "out of memory is taken by its use alone": (profiles, "raise_after_oom", only_from_use, "oom"),
    "a firm bound follows its quantile": (profiles, "learn", last_quantile, "below"),
    "no doubt about few runs": (bounds, "cautious", no_doubt, "cover"),
    "few runs of other kinds lower": (estimates, "_prior_bytes", boldly, "parents"),
    "other kinds are ignored": (estimates, "_prior_bytes", without_parents, "parents"),
    "nothing fades": (histograms, "_faded", unfaded, "histogram"),
    "values are kept too small": (histograms, "_round_up", rounded_down, "histogram"),
    "buckets pile up": (histograms, "_merged", unmerged, "histogram"),
    "any step is offered": (curves, "_falling", all_steps, "curve"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, attribute, mutant, check = MUTANTS[name]
    monkeypatch.setattr(module, attribute, mutant)
    with pytest.raises(AssertionError):
        run(check, 300)


def test_the_rule_of_bytes_is_firm() -> None:
    assert BYTES.firm
