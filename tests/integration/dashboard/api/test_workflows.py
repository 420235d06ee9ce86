"""Workflows as the dashboard asks for them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.api.workflows import Workflows
from dashboard.history.account import account
from dashboard.insight.names import Names
from scheduler.curve import Slowdown
from scheduler.profile import Profile, add_bytes, add_seconds, add_success, to_json
from scheduler.states import Guess, Step
from store import history_schema as history
from store import schema
from store.folding import add_up_nodes
from store.job_list import SqlJobs
from store.workflow_nodes import SqlWorkflowNodes
from store.workflows import SqlWorkflows
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve
from tests.integration.dashboard.api.test_jobs import BODY
from tests.integration.dashboard.conftest import Floor
from tests.integration.history.rows import GIB, HOUR_MS, attempt_row, fill, job_row, node_row

NOW_MS = int(time.time() * 1000) // HOUR_MS * HOUR_MS


@pytest.fixture
async def ask(engine: AsyncEngine, floor: Floor, serve: Serve) -> Ask:
    """Ann's three runs of a workflow, one of them failed, and bob's one."""
    runs: list[tuple[str, str, int, dict[str, Any]]] = [
        ("a1", "ann", 2, {"need_bytes": 4 * GIB, "peak_bytes": 4 * GIB}),
        (
            "a2",
            "ann",
            30,
            {"need_bytes": 4 * GIB, "peak_bytes": 5 * GIB, "reserved_bytes": 5 * GIB},
        ),
        ("a3", "ann", 31, {"state": "FAILED", "reason": "node_error"}),
        ("b1", "bob", 31, {}),
    ]
    for job, user, hours, changes in runs:
        ended = NOW_MS - hours * HOUR_MS
        row = job_row(job, ended, user_name=user, prompt=BODY, **changes)
        await fill(engine, schema.jobs, [row])
        stay = attempt_row(job, ended, user_name=user, worker=f"w-{job}")
        await fill(engine, schema.attempts, [stay])
        bad = {"result": "failure", "error": "ValueError"} if job == "a3" else {}
        await fill(engine, history.node_runs, [node_row(job, ended - 5000, user_name=user, **bad)])
    await fill(engine, history.marks, [{"name": "recorded", "at_ms": NOW_MS}])
    await account(engine, NOW_MS)
    await add_up_nodes(engine, NOW_MS)
    jobs = SqlJobs(engine)
    work, nodes = SqlWorkflows(engine), SqlWorkflowNodes(engine)
    return await serve(Workflows(jobs, work, nodes, Names(jobs), floor.ledger, who).routes())


async def test_workflows_are_listed_with_a_name_and_ones_own_figures(ask: Ask) -> None:
    (mine,) = (await ask("/api/v1/workflows"))["workflows"]
    assert mine["workflow"] == {"fingerprint": "fp-1", "name": "base · euler · 832×1216 ×2"}
    assert (mine["jobs"], mine["failed"], mine["users"]) == (3, 1, 1)
    (all_,) = (await ask("/api/v1/workflows", "root", "admin"))["workflows"]
    assert (all_["jobs"], all_["users"]) == (4, 2)
    (bobs,) = (await ask("/api/v1/workflows?user=bob", "root", "admin"))["workflows"]
    assert bobs["jobs"] == 1
    assert (await ask("/api/v1/workflows", "cat"))["workflows"] == []
    assert "error" in await ask("/api/v1/workflows?user=bob", status=403)


async def test_a_workflow_has_its_trend_its_runs_and_where_it_fails(ask: Ask) -> None:
    told = await ask("/api/v1/workflows/fp-1")
    assert sum(day["jobs"] for day in told["days"]) == 3
    assert [run["id"] for run in told["runs"]] == ["a1", "a2", "a3"]
    (failing,) = told["failing"]
    assert (failing["class_type"], failing["error"], failing["job"]) == (
        "KSampler", "ValueError", "a3",
    )  # fmt: skip
    (sampler,) = told["nodes"]
    assert (sampler["runs"], sampler["failures"]) == (3, 1)
    (everybodys,) = (await ask("/api/v1/workflows/fp-1", "root", "admin"))["nodes"]
    assert everybodys["runs"] == 4
    bobs = await ask("/api/v1/workflows/fp-1", "bob")
    assert ([run["id"] for run in bobs["runs"]], bobs["failing"]) == (["b1"], [])
    assert "error" in await ask("/api/v1/workflows/fp-1", "cat", status=404)


async def test_promises_are_held_against_what_came(ask: Ask) -> None:
    told = await ask("/api/v1/workflows/fp-1")
    errors = told["byte_errors"]
    assert (errors["runs"], errors["under"], errors["median"]) == (2, 1, 0.1)
    assert errors["classes"] == [1, 0, 0, 1, 0, 0, 0]
    assert told["second_errors"]["under"] == 2


async def test_what_was_learned_is_in_bytes_and_seconds(ask: Ask, floor: Floor) -> None:
    assert (await ask("/api/v1/workflows/fp-1"))["learned"] is None
    guess = Guess(bytes=10 * GIB, seconds=4.0, load_seconds=2.0)
    profile = add_success(Profile(about="sdxl"), guess, NOW_MS)
    profile = add_bytes(profile, 0.8, NOW_MS, 1.0)
    profile = add_seconds(profile, 2.0, NOW_MS, 1.0)
    slower = (Slowdown(share=0.4, ratio=5.0, count=3), Slowdown(share=0.6, ratio=3.0, count=1))
    profile = replace(profile, slowdowns=slower, needed=0.3)
    await floor.ledger.put_profiles({"fp-1": to_json(profile).encode()})
    told = (await ask("/api/v1/workflows/fp-1"))["learned"]
    assert (told["runs"], told["needed_bytes"]) == (1, 3 * GIB)
    assert told["run_seconds"] == pytest.approx(8.0, rel=0.06)
    smallest, between, comfortable = told["curve"]
    assert (smallest["bytes"], smallest["seconds"]) == (4 * GIB, 20.0)
    assert (smallest["measured"], smallest["runs"]) == (True, 3)
    assert (between["measured"], between["runs"]) == (False, 1)
    assert comfortable["bytes"] == told["need_bytes"]


async def test_the_curve_is_the_one_that_the_newest_run_was_booked_with(
    ask: Ask, floor: Floor, engine: AsyncEngine
) -> None:
    steps = (Step(3 * GIB, 9.0), Step(4 * GIB, 6.0))
    new = await floor.submit(fingerprint="fp-1", curve=steps, need_bytes=6 * GIB, need_seconds=5.0)
    await floor.run(new)
    now = int(time.time() * 1000)
    await fill(engine, schema.jobs, [job_row(new.id, now, prompt=BODY)])
    profile = add_success(Profile(), Guess(10 * GIB, 4.0, 2.0), NOW_MS)
    await floor.ledger.put_profiles({"fp-1": to_json(profile).encode()})
    told = (await ask(f"/api/v1/workflows/fp-1?until={now + 1000}"))["learned"]
    assert [(step["bytes"] // GIB, step["seconds"]) for step in told["curve"]] == [
        (3, 9.0), (4, 6.0), (6, 5.0),
    ]  # fmt: skip
    assert not any(step["measured"] for step in told["curve"])


async def test_a_wrong_time_zone_is_refused(ask: Ask) -> None:
    for zone in ("x", "9999", "-900", "1.5"):
        assert "zone" in (await ask(f"/api/v1/workflows/fp-1?zone={zone}", status=400))["error"]
