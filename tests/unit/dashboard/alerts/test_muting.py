"""Nobody is told of what is silenced, or only the consequence of another alert."""

from __future__ import annotations

from typing import Any

from config.alert_rules import DEFAULTS
from dashboard.alerts.muting import muted
from store.alert_records import Alert, Silence
from tests.unit.dashboard.alerts.made import alert

KINDS = {rule.name: rule.kind for rule in DEFAULTS}


def silence(**changes: Any) -> Silence:
    fields = {
        "id": "s", "rule": "*", "subject": "*", "from_ms": 10, "until_ms": 20, "by_user": "ada",
        "why": "w",
    }  # fmt: skip
    return Silence(**(fields | changes))


def why(*alerts: Alert, silences: tuple[Silence, ...] = (), now_ms: int = 15) -> dict[str, str]:
    return {one.id: one.muted for one in muted(alerts, silences, KINDS, now_ms)}


def test_a_silence_holds_from_its_begin_until_its_end() -> None:
    for now_ms, expected in ((9, ""), (10, "silence:s"), (19, "silence:s"), (20, "")):
        assert why(alert("a"), silences=(silence(),), now_ms=now_ms) == {"a": expected}


def test_both_patterns_of_a_silence_must_match() -> None:
    some = (silence(rule="slow_*", subject="node:VAE*"),)
    assert why(alert("a"), silences=some) == {"a": "silence:s"}
    assert why(alert("a", subject="node:KSampler"), silences=some) == {"a": ""}
    assert why(alert("a", rule="hot_gpu"), silences=some) == {"a": ""}


def test_a_silent_host_mutes_what_follows_there_and_nothing_elsewhere() -> None:
    host = alert("host", rule="agent_silent", subject="agent:a", detail={"agent": "a"})
    here = alert("here", rule="worker_down", subject="worker:a-0", detail={"agent": "a"})
    there = alert("there", rule="worker_down", subject="worker:b-0", detail={"agent": "b"})
    slow = alert("slow", detail={"agent": "a"})
    assert why(host, here, there, slow) == {
        "host": "", "here": "behind:agent_silent", "there": "", "slow": "",
    }  # fmt: skip


def test_a_used_up_budget_is_why_its_user_waits() -> None:
    used = alert("used", rule="budget_used_up", subject="user:ann")
    waits = alert("waits", rule="long_wait", subject="user:ann")
    other = alert("other", rule="long_wait", subject="user:bob", user_name="bob")
    assert why(used, waits, other) == {"used": "", "waits": "behind:budget_used_up", "other": ""}


def test_alerts_of_nobody_are_no_consequence_of_one_another() -> None:
    used = alert("used", rule="budget_used_up", subject="group:film", user_name="")
    pool = alert("pool", rule="wait_soon", subject="pool", user_name="")
    assert why(used, pool) == {"used": "", "pool": ""}


def test_one_of_a_rule_that_is_gone_is_left_as_it_is() -> None:
    assert why(alert("a", rule="former")) == {"a": ""}
