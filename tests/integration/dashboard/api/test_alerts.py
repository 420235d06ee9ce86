"""Alerts over the store: whose they are, whether anybody looks, silences with their records."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.api.alerts import Alerts
from store import alert_schema, history_schema
from store.alert_messages import SqlAlertMessages
from store.alerts import SqlAlerts
from store.audit import SqlAudit
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.history.rows import alert_row, fill
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url

NOW_MS = 1_800_000_000_000
BASE = "/api/v1/alerts"
HOOK = {"name": "ops", "url": "https://hooks.example/x", "secret": "0123456789abcdef"}


@pytest.fixture
async def engine(store_url: str) -> Any:
    opened = open_engine(store_url)
    await migrate(opened)
    await fill(
        opened,
        history_schema.alerts,
        [
            alert_row("anns", NOW_MS - 60_000, job="j1"),
            alert_row("bobs", NOW_MS - 50_000, user_name="bob", subject="node:KSampler"),
            alert_row(
                "hot", NOW_MS - 40_000, rule="hot_gpu", subject="gpu:g0", user_name="",
                severity="critical", detail='{"text": "95 °C", "gpu": "g0"}',
            ),
            alert_row("over", NOW_MS - 3_600_000, ended_ms=NOW_MS - 3_000_000),
        ],
    )  # fmt: skip
    await fill(opened, history_schema.marks, [{"name": "alerts", "at_ms": NOW_MS - 5_000}])
    yield opened
    await opened.dispose()


@pytest.fixture
async def ask(engine: AsyncEngine, serve: Serve) -> Ask:
    return await serve(routes(engine))


def routes(engine: AsyncEngine, now_ms: int = NOW_MS, **settings: Any) -> Any:
    ids: Callable[[], str] = iter(f"new{n}" for n in range(100)).__next__

    def clock() -> float:
        return now_ms / 1000

    known = Settings.model_validate({"alerts": {"webhooks": [HOOK]}} | settings)
    return Alerts(
        SqlAlerts(engine, clock, ids),
        SqlAlertMessages(engine),
        SqlAudit(engine, clock, ids),
        lambda: known,
        who,
        ids,
        clock,
    ).routes()


async def test_everybody_sees_their_own_and_admins_all(ask: Ask) -> None:
    assert [one["id"] for one in (await ask(BASE))["firing"]] == ["anns"]
    assert [one["id"] for one in (await ask(BASE, "bob"))["firing"]] == ["bobs"]
    assert (await ask(BASE, "cid"))["firing"] == []
    found = (await ask(BASE, "ada", "admin"))["firing"]
    assert [one["id"] for one in found] == ["hot", "bobs", "anns"]
    assert found[0]["where"] == {"gpu": "g0"}
    assert found[2]["where"] == {"job": "j1", "attempt": 1, "node": "8"}
    assert (found[2]["unit"], found[2]["value"], found[2]["limit"]) == ("seconds", 12.0, 5.0)

    await ask(f"{BASE}/one/bobs", status=404)
    assert (await ask(f"{BASE}/one/anns"))["text"] == "node 8 took 12 s"
    await ask(f"{BASE}/one/hot", status=404)
    await ask(f"{BASE}/one/hot", "ada", "admin")


async def test_what_was_has_pages_and_a_rule(ask: Ask) -> None:
    assert [one["id"] for one in (await ask(f"{BASE}/past?until={NOW_MS}"))["alerts"]] == [
        "anns", "over",
    ]  # fmt: skip
    first = await ask(f"{BASE}/past?until={NOW_MS}&rows=1", "ada", "admin")
    assert ([one["id"] for one in first["alerts"]], first["more"]) == (["hot"], True)
    last = await ask(f"{BASE}/past?until={NOW_MS}&rows=1&start=3", "ada", "admin")
    assert ([one["id"] for one in last["alerts"]], last["more"]) == (["over"], False)
    hot = await ask(f"{BASE}/past?until={NOW_MS}&rule=hot_gpu", "ada", "admin")
    assert [one["id"] for one in hot["alerts"]] == ["hot"]


async def test_that_nobody_looks_is_told(engine: AsyncEngine, serve: Serve) -> None:
    soon, late = await serve(routes(engine)), await serve(routes(engine, NOW_MS + 3_600_000))
    assert not (await soon(BASE))["unwatched"]
    told = await late(BASE)
    assert told["unwatched"]
    assert told["looked_ms"] == NOW_MS - 5_000
    off = await serve(routes(engine, NOW_MS + 3_600_000, alerts={"enabled": False}))
    assert not (await off(BASE))["unwatched"]


async def test_rules_are_everybodys_and_what_they_see_is_the_admins(
    engine: AsyncEngine, ask: Ask
) -> None:
    await fill(
        engine,
        alert_schema.alert_rules,
        [{
            "rule": "long_wait", "at_ms": NOW_MS, "value": 300.0, "subject": "user:bob",
            "threshold": 600.0, "seen": 2, "pending": 0, "firing": 0, "enabled": True,
            "severity": "warning",
        }],
    )  # fmt: skip
    mine = {one["name"]: one for one in (await ask(f"{BASE}/rules"))["rules"]}
    assert (mine["long_wait"]["limit"], mine["long_wait"]["value"]) == (600.0, None)
    assert mine["long_wait"]["subject"] == ""
    all_ = {one["name"]: one for one in (await ask(f"{BASE}/rules", "ada", "admin"))["rules"]}
    assert (all_["long_wait"]["value"], all_["long_wait"]["subject"]) == (300.0, "user:bob")


async def test_admins_silence_and_it_is_on_record(engine: AsyncEngine, ask: Ask) -> None:
    wanted = {"rule": "slow_*", "until_ms": NOW_MS + 60_000, "why": "new nodes are tried"}
    path = f"{BASE}/silences"
    await ask(path, method="POST", json=wanted, status=403)
    await ask(path, status=403)
    made = await ask(path, "ada", "admin", method="POST", json=wanted, status=201)
    assert (made["rule"], made["subject"], made["by_user"]) == ("slow_*", "*", "ada")
    await ask(f"{path}/{made['id']}/end", method="POST", status=403)
    ended = await ask(f"{path}/{made['id']}/end", "ada", "admin", method="POST")
    assert ended["until_ms"] == NOW_MS
    await ask(f"{path}/{made['id']}/end", "ada", "admin", method="POST", status=404)
    deeds = await SqlAudit(engine, time.time, str).newest(NOW_MS + 1)
    assert {(deed.action, deed.by_user, deed.subject) for deed in deeds} == {
        ("silence", "ada", "*"), ("unsilence", "ada", "*"),
    }  # fmt: skip
    assert next(deed for deed in deeds if deed.action == "silence").detail["why"] == wanted["why"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rule": "x", "why": "y"}, "until_ms"),
        ({"rule": "x", "why": "", "until_ms": NOW_MS + 1}, "why"),
        ({"rule": "x", "why": "y", "until_ms": NOW_MS}, "ahead"),
        ({"rule": "x", "why": "y", "until_ms": NOW_MS + 91 * 86_400_000}, "90 days"),
        ({"rule": "slow_nodes", "why": "y", "until_ms": NOW_MS + 1}, "did you mean `slow_node`"),
        ({"rule": "x", "why": "y", "until_ms": NOW_MS + 1, "all": True}, "all"),
        ([], "object"),
        ({"rule": "x" * 5000}, "bytes"),
    ],
)
async def test_a_wrong_silence_is_told_what_is_wrong(ask: Ask, wrong: Any, words: str) -> None:
    status = 413 if "x" * 5000 in str(wrong) else 400
    told = await ask(f"{BASE}/silences", "ada", "admin", method="POST", json=wrong, status=status)
    assert words in told["error"]


async def test_a_test_is_put_into_the_line(engine: AsyncEngine, ask: Ask) -> None:
    path = f"{BASE}/test"
    await ask(path, method="POST", json={}, status=403)
    await ask(path, "ada", "admin", method="POST", json={"receiver": "nobody"}, status=404)
    told = await ask(path, "ada", "admin", method="POST", json={}, status=202)
    (due,) = await SqlAlertMessages(engine).due(NOW_MS)
    assert told["messages"] == [due.id]
    assert '"status":"test"' in due.body
    listed = await ask(f"{BASE}/messages", "ada", "admin")
    assert listed["receivers"] == ["ops"]
    assert [one["receiver"] for one in listed["messages"]] == ["ops"]
    assert "0123456789abcdef" not in str(listed)
    await ask(f"{BASE}/messages", status=403)
