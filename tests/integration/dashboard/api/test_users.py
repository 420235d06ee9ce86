"""Who used what, over the simulated day: every figure is the store's, to the last digit."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from config.settings import Group, Settings, User
from dashboard.api.statement import Statements
from dashboard.api.users import Users
from dashboard.insight.names import Names
from simulator.day.studio import settings
from store import schema
from store.job_list import SqlJobs
from store.users import SqlUsers
from store.waits import SqlWaits
from tests.day import FROM_MS, UNTIL_MS, DayStore
from tests.day import day as day
from tests.day import day_file as day_file
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve

SPAN = f"from={FROM_MS}&until={UNTIL_MS}"
SUMS = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")


def resource(store: DayStore, rules: Callable[[], Settings] = settings) -> Users:
    names = Names(SqlJobs(store.engine))
    return Users(
        SqlUsers(store.engine), SqlWaits(store.engine), names, rules, who, lambda: UNTIL_MS / 1000
    )


@pytest.fixture
async def ask(day: DayStore, serve: Serve) -> Ask:
    return await serve(resource(day).routes())


async def test_sums_equal_what_the_ledger_says_to_the_last_digit(ask: Ask, day: DayStore) -> None:
    told = await ask(f"/api/v1/users/usage?{SPAN}", "olga", "admin")
    costs: Counter[str] = Counter()
    held: Counter[str] = Counter()
    async with day.engine.connect() as connection:
        for row in (await connection.execute(select(schema.attempts))).all():
            costs[row.user_name] += row.cost_us or 0
            end = row.ended_ms or UNTIL_MS
            held[row.user_name] += row.reserved_bytes * (end - row.admitted_ms)
    assert {row["name"]: row["cost_us"] for row in told["rows"]} == costs
    assert {row["name"]: row["byte_ms"] for row in told["rows"]} == held
    assert told["total"]["cost_us"] == sum(costs.values()) > 10**9
    assert told["total"]["byte_ms"] == sum(held.values()) > 2**53


@pytest.mark.parametrize("by", ["group", "workflow", "model", "gpu"])
async def test_whatever_it_is_added_up_by_the_total_is_the_same(ask: Ask, by: str) -> None:
    users = await ask(f"/api/v1/users/usage?{SPAN}", "olga", "admin")
    told = await ask(f"/api/v1/users/usage?{SPAN}&by={by}", "olga", "admin")
    assert {name: told["total"][name] for name in SUMS} == {
        name: users["total"][name] for name in SUMS
    }
    for name in SUMS:
        assert sum(row[name] for row in told["rows"]) == told["total"][name]
    if by != "gpu":
        assert told["total"]["wait_p95_ms"] == users["total"]["wait_p95_ms"] > 0


async def test_days_add_up_to_the_same_and_the_rest_is_together(ask: Ask) -> None:
    whole = await ask(f"/api/v1/users/usage?{SPAN}", "olga", "admin")
    told = await ask(f"/api/v1/users/days?{SPAN}&apart=2", "olga", "admin")
    assert told["days"] == ["2026-11-24", "2026-11-25"]
    assert (len(told["series"]), told["others_count"]) == (2, 4)
    series = [*told["series"], told["others"]]
    for name in ("gpu_us", "byte_ms", "energy_mj", "jobs"):
        assert sum(sum(one[name]) for one in series) == whole["total"][name]
    assert sum(told["series"][0]["gpu_us"]) == whole["rows"][0]["gpu_us"]


async def test_an_artist_sees_own_usage_and_a_count_of_everybodys(ask: Ask) -> None:
    told = await ask(f"/api/v1/users/usage?{SPAN}", "anna")
    everything = await ask(f"/api/v1/users/usage?{SPAN}", "olga", "admin")
    assert [row["name"] for row in told["rows"]] == ["anna"]
    assert told["everybody"]["jobs"] == everything["total"]["jobs"] > told["total"]["jobs"] > 0
    told = await ask(f"/api/v1/users/days?{SPAN}&by=group", "anna")
    assert [one["name"] for one in told["series"]] == ["film"]
    assert sum(told["series"][0]["jobs"]) < everything["total"]["jobs"]
    refused = await ask(f"/api/v1/users/usage?{SPAN}&user=ben", "anna", status=403)
    assert "admins" in refused["error"]


async def test_workflows_have_names_and_pages(ask: Ask) -> None:
    told = await ask(f"/api/v1/users/usage?{SPAN}&by=workflow&rows=2&start=1", "olga", "admin")
    assert (told["count"], len(told["rows"])) == (8, 2)
    assert all(row["title"] and row["title"] != row["name"] for row in told["rows"])


async def test_what_cannot_be_asked_is_refused_with_what_to_do(ask: Ask) -> None:
    for wrong, word in (("by=colour", "by"), ("from=9&until=3", "from"), ("rows=0", "rows")):
        told = await ask(f"/api/v1/users/usage?{wrong}", status=400)
        assert f"`{word}`" in told["error"]


async def test_days_of_many_years_are_not_a_chart(ask: Ask) -> None:
    told = await ask("/api/v1/users/days?from=0&until=99000000000", "olga", "admin", status=400)
    assert "400" in told["error"]


async def test_budgets_say_how_far_the_month_is(day: DayStore, serve: Serve) -> None:
    usage = await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS)
    used = {one.name: one.gpu_us for one in usage}
    hours = {name: micros / 3.6e9 for name, micros in used.items()}
    users = (
        User(name="anna", group="film", budget=hours["anna"] / 2),
        User(name="ben", group="film", budget=100, budget_soft=hours["ben"] / 2),
        User(name="cleo", group="film", budget=1000),
        User(name="dora", group="design"),
    )
    rules = Settings(users=users, groups=(Group(name="film", budget=5000),))
    ask = await serve(resource(day, lambda: rules).routes())
    told = await ask("/api/v1/users/budgets", "olga", "admin")
    states = {one["name"]: one["state"] for one in told["budgets"]}
    assert states == {"anna": "spent", "ben": "soft", "cleo": "ok", "film": "ok"}
    assert (told["month"], told["budgets"][0]["name"]) == ("2026-11", "anna")
    assert told["budgets"][0]["used_us"] == used["anna"]
    own = await ask("/api/v1/users/budgets", "ben")
    assert {one["name"] for one in own["budgets"]} == {"ben", "film"}


Fetch = Callable[..., Awaitable[tuple[Any, str]]]


@pytest.fixture
async def fetch(day: DayStore) -> Any:
    """Files are no JSON with an error: gives the answer and its text."""
    resource = Statements(SqlUsers(day.engine), settings, who, lambda: UNTIL_MS / 1000)
    app = web.Application()
    app.add_routes(resource.routes())
    async with TestClient(TestServer(app)) as client:

        async def get(query: str, user: str = "olga", role: str = "admin") -> tuple[Any, str]:
            headers = {"X-User": user, "X-Role": role}
            answer = await client.get(f"/api/v1/users/statement?{query}", headers=headers)
            return answer, await answer.text()

        yield get


async def test_a_statement_of_a_month_has_every_digit(fetch: Fetch, day: DayStore) -> None:
    answer, text = await fetch("month=2026-11")
    assert 'filename="vramgate-usage-2026-11-user.csv"' in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(text)))
    sums = await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS)
    assert [(one["user"], int(one["byte ms"])) for one in lines] == [
        (one.name, one.byte_ms) for one in sums
    ]
    assert {one["month"] for one in lines} == {"2026-11"}


async def test_days_of_a_span_add_up_to_it(fetch: Fetch) -> None:
    _, text = await fetch(f"{SPAN}&by=group&each=day&form=json")
    answer, whole = await fetch(f"{SPAN}&by=group&form=json")
    told, all_of_it = json.loads(text), json.loads(whole)
    assert answer.content_type == "application/json"
    assert {one["day"] for one in told["usage"]} == {"2026-11-24", "2026-11-25"}
    for group in all_of_it["usage"]:
        parts = [one for one in told["usage"] if one["name"] == group["name"]]
        assert all(sum(one[name] for one in parts) == group[name] for name in SUMS)


async def test_an_artist_takes_only_own_usage(fetch: Fetch) -> None:
    answer, text = await fetch("month=2026-11&form=html", "anna", "artist")
    assert answer.status == 200
    assert "anna" in text
    assert "ben" not in text
    answer, text = await fetch("month=2026-11&user=ben", "anna", "artist")
    assert answer.status == 403


async def test_a_month_is_written_as_a_month(fetch: Fetch) -> None:
    for month in ("november", "2026-13", "0001-01", ""):
        answer, text = await fetch(f"month={month}")
        assert answer.status == 400
        assert "`month`" in text
