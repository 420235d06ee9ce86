"""From figures to alerts: what is true, since when, and whether somebody should know (pure).

    nothing ──true──▶ pending ──for long enough──▶ firing ──clear for long enough──▶ ended
       ▲                 │
       └── not true ─────┘

What is true at a look is taken to have been true since the last one; after a longer time without
looks what was pending begins anew. A figure that is not known changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.alert_rules import Rule
from dashboard.alerts.kinds import KINDS, is_clear, is_over, worse
from dashboard.alerts.reading import Reading
from store.alert_records import Alert, AlertState

#: What fires ends when it has been clear for so long.
CLEAR_MS: Final = 30_000
#: Longer between two looks, and nobody knows what was true in between.
GAP_MS: Final = 120_000
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Looked:
    """A rule and all its figures."""

    rule: Rule
    readings: Sequence[Reading]


@dataclass(slots=True)
class Stepped:
    """What a look changed."""

    states: dict[Key, AlertState] = field(default_factory=dict)
    fired: list[Alert] = field(default_factory=list)
    #: what fired before and has a new figure
    going: list[Alert] = field(default_factory=list)
    #: alert → when it was over
    ended: dict[str, int] = field(default_factory=dict)


def step(
    before: Mapping[Key, AlertState], looked: Iterable[Looked], now_ms: int, last_ms: int
) -> Stepped:
    """One look.

    Args:
        before: states as the last look left them.
        looked: the rules that are looked at; states of others are over.
        now_ms: server time, no earlier than ``last_ms``.
        last_ms: the last look's.
    """
    done = Stepped()
    left = dict(before)
    gap = now_ms - last_ms > GAP_MS
    for one in looked:
        for reading in _worst(one):
            key = (one.rule.name, reading.subject, reading.user)
            state = left.pop(key, None)
            if gap and state is not None and not state.is_firing:
                state = None
            _take(done, one.rule, reading, state, now_ms)
        for key in [key for key in left if key[0] == one.rule.name]:
            _without(done, one.rule, left.pop(key), now_ms)
    for state in left.values():
        _end(done, state, now_ms)
    return done


def _worst(one: Looked) -> list[Reading]:
    """One reading of each subject and user: the worst of several, known ones first."""
    found: dict[tuple[str, str], Reading] = {}
    for reading in one.readings:
        key = (reading.subject, reading.user)
        other = found.get(key)
        if other is None or other.value is None:
            found[key] = reading
        elif reading.value is not None:
            ratio, others = _ratio(one.rule, reading), _ratio(one.rule, other)
            if ratio != others and worse(one.rule, ratio, others) == ratio:
                found[key] = reading
    return list(found.values())


def _ratio(rule: Rule, reading: Reading) -> float:
    limit = rule.limit if reading.limit is None else reading.limit
    return (reading.value or 0.0) / (limit or 1.0)


def _take(
    done: Stepped, rule: Rule, reading: Reading, state: AlertState | None, now_ms: int
) -> None:
    if reading.value is None:
        if state is not None:
            done.states[state.key] = state
        return
    limit = rule.limit if reading.limit is None else reading.limit
    over = is_over(rule, reading.value, limit)
    if state is not None and state.is_firing:
        if over or not is_clear(rule, reading.value, limit):
            _go_on(done, rule, reading, state, now_ms)
        else:
            _without(done, rule, state, now_ms)
    elif over:
        _begin(done, rule, reading, state, now_ms)


def _begin(
    done: Stepped, rule: Rule, reading: Reading, state: AlertState | None, now_ms: int
) -> None:
    """True and not firing: it fires if that has been so for long enough."""
    value = reading.value or 0.0
    since = now_ms if state is None else state.since_ms
    wait_ms = 0 if KINDS[rule.kind].happens else int(rule.lasts * 1000)
    fires = now_ms - since >= wait_ms
    new = AlertState(
        rule=rule.name,
        subject=reading.subject,
        user_name=reading.user,
        phase="firing" if fires else "pending",
        since_ms=since,
        fired_ms=now_ms if fires else 0,
        true_ms=now_ms,
        alert=_id(rule, reading, now_ms) if fires else "",
        value=value,
        worst=value if state is None else worse(rule, value, state.worst),
    )
    done.states[new.key] = new
    if fires:
        done.fired.append(_alert(rule, reading, new))


def _go_on(done: Stepped, rule: Rule, reading: Reading, state: AlertState, now_ms: int) -> None:
    value = reading.value or 0.0
    new = AlertState(
        rule=state.rule,
        subject=state.subject,
        user_name=state.user_name,
        phase=state.phase,
        since_ms=state.since_ms,
        fired_ms=state.fired_ms,
        true_ms=now_ms,
        alert=state.alert,
        value=value,
        worst=worse(rule, value, state.worst),
    )
    done.states[new.key] = new
    done.going.append(_alert(rule, reading, new))


def _without(done: Stepped, rule: Rule, state: AlertState, now_ms: int) -> None:
    """Not true any more, or its subject is gone."""
    if not state.is_firing:
        return
    wait_ms = 0 if KINDS[rule.kind].happens else CLEAR_MS
    if now_ms - state.true_ms >= wait_ms:
        _end(done, state, now_ms)
    else:
        done.states[state.key] = state


def _end(done: Stepped, state: AlertState, now_ms: int) -> None:
    if state.is_firing:
        done.ended[state.alert] = max(now_ms, state.fired_ms)


def _alert(rule: Rule, reading: Reading, state: AlertState) -> Alert:
    return Alert(
        id=state.alert,
        rule=rule.name,
        severity=rule.severity.value,
        subject=reading.subject,
        user_name=reading.user,
        group_name=reading.group,
        began_ms=state.since_ms,
        since_ms=state.fired_ms,
        ended_ms=None,
        value=state.value,
        worst=state.worst,
        threshold=rule.limit if reading.limit is None else reading.limit,
        detail={**reading.detail, **({"labels": dict(rule.labels)} if rule.labels else {})},
    )


def _id(rule: Rule, reading: Reading, now_ms: int) -> str:
    """The same for whoever looks at the same moment."""
    text = "\0".join((rule.name, reading.subject, reading.user, str(now_ms)))
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
