"""Each alert is told once, again after a while, and when it is over; to those who want it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.alerts import Alerts, GroupBy, Severity
from dashboard.alerts.grouping import MOST_ALERTS, Pace, plan
from dashboard.alerts.receiver import Receiver, receivers
from store.alert_records import Alert, ToldGroup
from tests.unit.dashboard.alerts.made import alert

OPS = Receiver(name="ops", least=Severity.INFO, rules=(), groups=())
PACE = Pace(
    by=(GroupBy.RULE,), wait_ms=20_000, interval_ms=300_000, repeat_ms=14_400_000, resolved=True
)


class Line:
    """Looks again and again; keeps what was told."""

    def __init__(self, pace: Pace = PACE, *to: Receiver) -> None:
        self.pace = pace
        self.to = to or (OPS,)
        self.now_ms = 1_000_000
        self.groups: Sequence[ToldGroup] = ()

    def look(self, *firing: Alert, after_s: float = 10) -> list[tuple[list[str], list[str]]]:
        """Ids of what fires and what is over, of each message."""
        self.now_ms += int(after_s * 1000)
        planned = plan(self.groups, firing, self.to, self.pace, self.now_ms)
        self.groups = planned.groups
        return [([one.id for one in due.firing], list(due.ended)) for due in planned.due]


def test_a_new_group_waits_for_more_of_its_kind_and_is_told_once() -> None:
    line = Line()
    a, b = alert("a"), alert("b", subject="node:KSampler", since_ms=2)
    assert line.look(a) == []
    assert line.look(a, b) == []
    assert line.look(a, b) == [(["a", "b"], [])]
    assert line.look(a, b) == []
    assert line.look(a, b, after_s=3600) == []


def test_a_change_waits_for_the_interval_and_tells_all_that_fires() -> None:
    line = Line()
    a, b = alert("a"), alert("b", since_ms=2)
    line.look(a)
    assert line.look(a, after_s=20) == [(["a"], [])]
    assert line.look(a, b, after_s=299) == []
    assert line.look(a, b, after_s=1) == [(["a", "b"], [])]


def test_ends_are_told_once_and_the_group_is_forgotten() -> None:
    line = Line()
    a, b = alert("a"), alert("b", since_ms=2)
    line.look(a, b)
    line.look(a, b, after_s=20)
    assert line.look(b, after_s=300) == [(["b"], ["a"])]
    assert line.look(after_s=300) == [([], ["b"])]
    assert line.groups == ()
    assert line.look(after_s=300) == []


def test_one_that_goes_on_is_told_again_after_the_repeat() -> None:
    line = Line()
    line.look(alert("a"))
    line.look(alert("a"), after_s=20)
    assert line.look(alert("a"), after_s=14_399) == []
    assert line.look(alert("a"), after_s=1) == [(["a"], [])]


def test_one_that_is_over_before_it_was_told_is_never_told() -> None:
    line = Line()
    line.look(alert("a"))
    assert line.look() == []
    assert line.groups == ()


def test_a_muted_one_is_not_told_and_its_end_is_if_its_begin_was() -> None:
    line = Line()
    quiet = alert("a", muted="silence:s")
    assert line.look(quiet) == []
    assert line.look(quiet, after_s=60) == []
    line.look(alert("a"))
    assert line.look(alert("a"), after_s=20) == [(["a"], [])]
    assert line.look(quiet, after_s=300) == []
    assert line.look(after_s=300) == [([], ["a"])]


def test_ends_that_nobody_wants_are_not_told() -> None:
    line = Line(dataclasses.replace(PACE, resolved=False))
    line.look(alert("a"))
    line.look(alert("a"), after_s=20)
    assert line.look(after_s=300) == []
    assert line.groups == ()


def test_groups_are_by_what_the_settings_say() -> None:
    a, b = alert("a"), alert("b", user_name="bob", since_ms=2)
    line = Line(dataclasses.replace(PACE, by=(GroupBy.RULE, GroupBy.USER)))
    line.look(a, b)
    assert line.look(a, b, after_s=20) == [(["a"], []), (["b"], [])]
    line = Line(dataclasses.replace(PACE, by=()))
    c = alert("c", rule="hot_gpu", since_ms=3)
    line.look(a, c)
    assert line.look(a, c, after_s=20) == [(["a", "c"], [])]


def test_a_receiver_hears_what_it_wants() -> None:
    known = Alerts.model_validate(
        {
            "smtp": {"host": "m"},
            "mails": [{"name": "night", "to": ["a@b.c"], "least": "critical"}],
            "webhooks": [
                {"name": "film", "url": "http://h/", "secret": "x" * 16, "groups": ["film"]},
                {"name": "heat", "url": "http://h/", "secret": "x" * 16, "rules": ["hot_*"]},
            ],
        }
    )
    by_name = {one.name: one for one in receivers(known)}
    slow = alert("a")
    hot = alert("b", rule="hot_gpu", group_name="", severity="critical")
    wanted = {name: [one.wants(slow), one.wants(hot)] for name, one in by_name.items()}
    assert wanted == {"film": [True, False], "heat": [False, True], "night": [False, True]}
    assert not by_name["film"].wants(alert(severity="info"))


def test_of_very_many_a_message_has_some_and_a_count() -> None:
    many = [alert(f"a{n:03}", since_ms=n) for n in range(MOST_ALERTS + 7)]
    groups = plan((), many, [OPS], PACE, 0).groups
    (due,) = plan(groups, many, [OPS], PACE, 20_000).due
    assert (len(due.firing), due.more) == (MOST_ALERTS, 7)


LIVES = st.lists(st.sets(st.sampled_from("abcd")), min_size=1, max_size=40)


@given(lives=LIVES, quiet=st.sets(st.sampled_from("abcd")))
@settings(max_examples=150, deadline=None)
def test_whoever_was_told_of_a_begin_is_told_of_its_end_and_of_no_other(
    lives: list[set[str]], quiet: set[str]
) -> None:
    line = Line()
    open_: dict[str, bool] = {}
    for firing in [*lives, *[set()] * 40]:
        alerts = [alert(one, muted="silence:s" if one in quiet else "") for one in sorted(firing)]
        for began, ended in line.look(*alerts, after_s=60):
            assert began or ended
            for one in ended:
                assert open_.pop(one), "an end without a begin"
                assert one not in firing
            for one in began:
                assert one in firing
                assert one not in quiet
                open_[one] = True
    assert open_ == {}


@pytest.mark.parametrize("wait_s", [0.0, 20.0])
def test_every_loud_alert_that_lasts_is_told(wait_s: float) -> None:
    line = Line(dataclasses.replace(PACE, wait_ms=int(wait_s * 1000)))
    told = [message for _ in range(4) for message in line.look(alert("a"))]
    assert told == [(["a"], [])]
