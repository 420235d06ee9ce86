"""Whatever figures come, alerts keep their rules; planted mistakes prove that the checks bite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.alert_rules import Rule
from config.alerts import RuleKind
from dashboard.alerts import machine
from dashboard.alerts.kinds import is_clear, is_over
from dashboard.alerts.machine import CLEAR_MS, GAP_MS, Looked, Stepped, step
from dashboard.alerts.reading import Reading
from store.alert_records import AlertState

LIMIT = 100.0
RULE = Rule(name="r", kind=RuleKind.TEMPERATURE, limit=LIMIT, clear=90.0, lasts=60.0)
BELOW = Rule(name="r", kind=RuleKind.HEADROOM, limit=LIMIT, clear=110.0, lasts=60.0)
AT_ONCE = dataclasses.replace(RULE, lasts=0.0)
HAPPENS = Rule(name="r", kind=RuleKind.NODE, limit=LIMIT, clear=90.0, lasts=600.0)

#: a figure: over, between, clear; not known; or no reading at all
FIGURES = st.sampled_from([150.0, 100.0, 99.0, 95.0, 90.0, 89.0, 0.0, 105.0, 111.0, None, "gone"])
#: ms between two looks: mostly steady, at times long
PAUSES = st.sampled_from([10_000, 10_000, 10_000, 1, 30_000, 60_000, GAP_MS, GAP_MS + 1, 3_600_000])
LIVES = st.lists(st.tuples(FIGURES, PAUSES), min_size=1, max_size=60)
Step = Callable[[Mapping[Any, AlertState], Any, int, int], Stepped]


@dataclass
class Told:
    """What the checks know by themselves, without states."""

    firing: str = ""
    fired_ms: int = 0
    #: over at each look since then
    over_since: int | None = None
    last_over: int = 0
    ids: set[str] = field(default_factory=set)


def live(rule: Rule, life: list[tuple[Any, int]], take: Step = step) -> Told:
    """Look again and again; raises AssertionError where a rule of alerts is broken."""
    told, states, now, last = Told(), {}, 1_000_000, 1_000_000
    for figure, pause in life:
        now += pause
        readings = [] if figure == "gone" else [Reading(subject="gpu:0", value=figure)]
        done = take(states, [Looked(rule, readings)], now, last)
        check(rule, told, figure, done, now, last)
        # a look at the same moment again changes nothing but what it says
        again = take(done.states, [Looked(rule, readings)], now, now)
        assert again.states == done.states
        assert not again.fired
        states, last = done.states, now
    return told


def check(rule: Rule, told: Told, figure: Any, done: Stepped, now: int, last: int) -> None:
    known = isinstance(figure, float)
    over = known and is_over(rule, figure, LIMIT)
    clear = figure == "gone" or (known and is_clear(rule, figure, LIMIT))
    if now - last > GAP_MS:
        told.over_since = None
    if over:
        told.over_since = now if told.over_since is None else told.over_since
    elif figure is not None:
        told.over_since = None
    wait = 0 if rule.kind is RuleKind.NODE else int(rule.lasts * 1000)
    keep = 0 if rule.kind is RuleKind.NODE else CLEAR_MS
    if told.firing:
        if known and not clear:
            told.last_over = now
        assert not done.fired, "one alert at a time"
        must_end = clear and now - told.last_over >= keep
        assert bool(done.ended) == must_end, "it ends when it has been clear for long enough"
        if must_end:
            assert done.ended == {told.firing: now}
            assert now >= told.fired_ms
            told.firing, told.over_since = "", None
    else:
        assert not done.ended
        must_fire = over and told.over_since is not None and now - told.over_since >= wait
        assert bool(done.fired) == must_fire, "it fires when it has been true for long enough"
        if must_fire:
            (alert,) = done.fired
            assert alert.id not in told.ids, "no id comes twice"
            assert alert.began_ms == told.over_since
            assert alert.since_ms == now
            told.ids.add(alert.id)
            told.firing, told.fired_ms, told.last_over = alert.id, now, now
    firing = [state for state in done.states.values() if state.is_firing]
    assert [state.alert for state in firing] == ([told.firing] if told.firing else [])


@pytest.mark.parametrize("rule", [RULE, BELOW, AT_ONCE, HAPPENS], ids=lambda rule: rule.kind.value)
@given(life=LIVES)
@settings(max_examples=150, deadline=None)
def test_alerts_fire_and_end_exactly_when_they_should(
    rule: Rule, life: list[tuple[Any, int]]
) -> None:
    live(rule, life)


@given(life=LIVES, others=LIVES)
@settings(max_examples=60, deadline=None)
def test_what_one_subject_does_changes_nothing_for_another(
    life: list[tuple[Any, int]], others: list[tuple[Any, int]]
) -> None:
    def readings(figure: Any, subject: str) -> list[Reading]:
        return [] if figure == "gone" else [Reading(subject=subject, value=figure)]

    alone: dict[Any, AlertState] = {}
    both: dict[Any, AlertState] = {}
    now = 1_000_000
    for (figure, pause), (other, _) in zip(life, others, strict=False):
        last, now = now, now + pause
        mine = readings(figure, "gpu:0")
        alone = step(alone, [Looked(RULE, mine)], now, last).states
        both = step(both, [Looked(RULE, mine + readings(other, "gpu:1"))], now, last).states
        assert {key: one for key, one in both.items() if key[1] == "gpu:0"} == alone


# ── planted mistakes ─────────────────────────────────────────────────────────


def _fires_at_once(*args: Any) -> Stepped:
    states, (looked,), now, last = args
    return step(
        states, [Looked(dataclasses.replace(looked.rule, lasts=0.0), looked.readings)], now, last
    )


def _forgets_pending(*args: Any) -> Stepped:
    states, looked, now, last = args
    return step({key: one for key, one in states.items() if one.is_firing}, looked, now, last)


def _ends_between(*args: Any) -> Stepped:
    states, (looked,), now, last = args
    rule = dataclasses.replace(looked.rule, clear=looked.rule.limit)
    return step(states, [Looked(rule, looked.readings)], now, last)


def _bridges_gaps(*args: Any) -> Stepped:
    states, looked, now, _ = args
    return step(states, looked, now, now)


def _unknown_is_clear(*args: Any) -> Stepped:
    states, (looked,), now, last = args
    known = [one for one in looked.readings if one.value is not None]
    return step(states, [Looked(looked.rule, known)], now, last)


def _fires_twice(*args: Any) -> Stepped:
    states, looked, now, last = args
    done = step(states, looked, now, last)
    done.fired += done.going
    return done


def _never_ends(*args: Any) -> Stepped:
    states, looked, now, last = args
    done = step(states, looked, now, last)
    for key, state in states.items():
        if state.alert in done.ended:
            done.states[key] = state
    done.ended = {}
    return done


@pytest.mark.parametrize(
    "mutant",
    [
        _fires_at_once,
        _forgets_pending,
        _ends_between,
        _bridges_gaps,
        _unknown_is_clear,
        _fires_twice,
        _never_ends,
    ],
)
def test_a_planted_mistake_is_found(mutant: Step) -> None:
    @given(life=LIVES)
    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    def lives(life: list[tuple[Any, int]]) -> None:
        live(RULE, life, mutant)

    with pytest.raises(AssertionError):
        lives()


def test_an_end_that_is_not_waited_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CLEAR_MS", 0)

    with pytest.raises(AssertionError, match="clear for long enough"):
        live(RULE, [(150.0, 10_000)] * 8 + [(0.0, 10_000)])
