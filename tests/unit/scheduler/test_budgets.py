"""Budgets of a month: a hard one stops, a soft one lets the others go first."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.settings import Settings
from scheduler.budgets import (
    Budget,
    Spent,
    decode_spent,
    encode_spent,
    hours_text,
    month_of,
    within,
)
from scheduler.decisions import Admit
from scheduler.explanation import explain
from scheduler.knowledge import Knowledge
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.states import WaitReason
from tests.pools import config, gpu, job, snapshot, worker

HOUR_US = 3_600_000_000
#: 2023-11-30 23:30 UTC
NOW_MS = 1_701_387_000_000


def test_a_month_begins_where_the_studio_is() -> None:
    assert month_of(NOW_MS, ZoneInfo("UTC")) == "2023-11"
    assert month_of(NOW_MS, ZoneInfo("Europe/Berlin")) == "2023-12"


def test_what_was_spent_survives_the_way_through_the_ledger() -> None:
    spent = Spent(month="2023-11", users={"ann": 2**60}, groups={})
    assert decode_spent(encode_spent(spent)) == spent
    assert decode_spent(None) is None
    assert decode_spent('{"month": 7}') is None


@pytest.mark.parametrize(
    ("hours", "used_up", "after"), [(9.9, False, False), (10, False, True), (20, True, True)]
)
def test_both_limits_hold_from_the_moment_they_are_reached(
    hours: float, used_up: bool, after: bool
) -> None:
    limits = within(Limits(weight=2), Budget(20, 10), {"ann": int(hours * HOUR_US)}, "ann")
    assert (bool(limits.used_up), limits.after_others, limits.weight) == (used_up, after, 2)


def _first(users: dict[str, Limits], **changes: Any) -> str:
    """Whose job starts on the one free worker; ann has the least counter."""
    jobs = [job("a", "ann"), job("b", "bob")]
    pool = snapshot([gpu()], [worker()], jobs, virtual={"ann": 0, "bob": 10**9})
    made = plan(pool, pool.now_ms, config(users=users, **changes))
    (admit,) = [one for one in made.decisions if isinstance(one, Admit)]
    return admit.job.user


def test_who_has_used_up_a_soft_budget_goes_after_everybody_else() -> None:
    assert _first({}) == "ann"
    assert _first({"ann": Limits(after_others=True)}) == "bob"
    both = {name: Limits(after_others=True) for name in ("ann", "bob")}
    assert _first(both) == "ann"


def test_who_has_used_up_a_soft_budget_starts_where_nobody_else_can() -> None:
    pool = snapshot([gpu()], [worker()], [job("a", "ann")])
    made = plan(pool, pool.now_ms, config(users={"ann": Limits(after_others=True)}))
    assert any(isinstance(one, Admit) for one in made.decisions)


def test_who_has_used_up_a_hard_budget_waits_and_reads_why() -> None:
    text = "has used 12.0 of 10 GPU hours of this month"
    jobs = [job("a", "ann"), job("a2", "ann"), job("b", "bob", submitted_ms=1_000_001)]
    pool = snapshot([gpu()], [worker(), worker("w1")], jobs)
    made = plan(pool, pool.now_ms, config(users={"ann": Limits(used_up=text)}))
    assert [one.job.user for one in made.decisions if isinstance(one, Admit)] == ["bob"]
    waits = {one.job.id: one for one in explain(pool, made)}
    assert waits["a"].reason is waits["a2"].reason is WaitReason.BUDGET
    assert waits["a"].detail == f"the user {text}"


def test_little_use_is_not_told_as_none() -> None:
    assert hours_text(4_500_000) == "0.0013"
    assert hours_text(12_345 * 3_600_000_000) == "12345.0"


def test_a_groups_budget_stops_all_its_users() -> None:
    groups = {"default": Limits(used_up="has used all")}
    pool = snapshot([gpu()], [worker()], [job("a", "ann"), job("b", "bob")])
    made = plan(pool, pool.now_ms, config(groups=groups))
    assert not any(isinstance(one, Admit) for one in made.decisions)


def test_a_new_month_begins_by_itself() -> None:
    settings = Settings.model_validate(
        {"users": [{"name": "ann", "budget": 1}], "groups": [{"name": "film", "budget_soft": 1}]}
    )
    knowledge = Knowledge()
    used = {"ann": HOUR_US}
    knowledge.follow_spent(Spent(month="2023-11", users=used, groups={"film": HOUR_US}))
    pool = snapshot([gpu()], [worker()], [], now_ms=NOW_MS)
    made = knowledge.config(settings, pool)
    assert made.users["ann"].used_up
    assert made.groups["film"].after_others
    later = snapshot([gpu()], [worker()], [], now_ms=NOW_MS + 3_600_000)
    assert not knowledge.config(settings, later).users["ann"].used_up
    knowledge.follow_spent(None)
    assert not knowledge.config(settings, pool).users["ann"].used_up
