"""Advice as the dashboard asks for it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.advice.body import found_of
from dashboard.advice.finding import (
    About,
    Effect,
    Finding,
    Gain,
    Proof,
    What,
    Witness,
)  # fmt: skip
from dashboard.api.advice import Advices
from scheduler.ledger import Ledger
from store import schema
from store.advice import SqlAdvice
from store.audit import SqlAudit
from store.job_list import SqlJobs
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve
from tests.integration.dashboard.conftest import Floor
from tests.integration.history.rows import fill, job_row

NOW_MS = int(time.time() * 1000)
PATH = "/api/v1/advice"
SHARED = Finding(
    kind="vae_fallback", subject="fp-1/VAEDecode", title="VAEDecode fell back", cause="because",
    remedies=("More reservation.",), gain=Gain(What.GPU_TIME, 100.0, 60.0, 150.0),
    effect=Effect(9.0, 7.0, 11.0, "×"), proof=Proof("a test", 0.001, 4, 9),
    jobs=(Witness("anns", "ann", NOW_MS - 9, "12 s"), Witness("bobs", "bob", NOW_MS - 8, "13 s")),
    about=About(fingerprints=("fp-1", "fp-2")), users=("ann", "bob"),
)  # fmt: skip
ADMINS_OWN = replace(
    SHARED, subject="gpu-0", kind="idle_gpu", users=(), jobs=(),
    gain=Gain(What.SPARE, 40.0, 30.0, 50.0), about=About(gpus=("gpu-0",)),
)  # fmt: skip


@pytest.fixture
async def advice(engine: AsyncEngine) -> SqlAdvice:
    rows = [job_row("anns", NOW_MS - 9), job_row("bobs", NOW_MS - 8, user_name="bob")]
    plain = job_row("plain", NOW_MS - 7, fingerprint="fp-9")
    await fill(engine, schema.jobs, [*rows, plain])
    kept = SqlAdvice(engine)
    await kept.replace([found_of(SHARED), found_of(ADMINS_OWN)], NOW_MS - 5)
    return kept


@pytest.fixture
async def ask(engine: AsyncEngine, advice: SqlAdvice, floor: Floor, serve: Serve) -> Ask:
    ledger: Ledger = floor.ledger
    audit = SqlAudit(engine, time.time, lambda: str(time.time_ns()))
    return await serve(Advices(advice, audit, SqlJobs(engine), ledger, who).routes())


async def test_an_artist_gets_own_jobs_and_a_count_of_others(ask: Ask) -> None:
    told = await ask(PATH)
    (one,) = told["advice"]
    assert [job["job"] for job in one["jobs"]] == ["anns"]
    assert (one["users"], one["others"]) == (["ann"], 1)
    assert one["about"]["fingerprints"] == []  # some are bob's
    assert one["gain"] == {"what": "gpu_time", "expected": 100.0, "low": 60.0, "high": 150.0}
    assert "bob" not in str(told)
    assert (told["open"], told["dismissed"], told["total"]) == (1, 0, 1)
    assert told["level"] == 0.05


async def test_an_admin_gets_everything(ask: Ask) -> None:
    told = await ask(PATH, "ada", "admin")
    assert [one["kind"] for one in told["advice"]] == ["vae_fallback", "idle_gpu"]
    assert {job["user"] for job in told["advice"][0]["jobs"]} == {"ann", "bob"}
    only = await ask(f"{PATH}?kind=idle_gpu", "ada", "admin")
    assert only["total"] == 1
    assert (await ask(f"{PATH}?start=1&rows=1", "ada", "admin"))["advice"][0]["kind"] == "idle_gpu"


async def test_what_is_not_ones_own_is_not_there(ask: Ask) -> None:
    await ask(f"{PATH}/{ADMINS_OWN.id}", status=404)
    await ask(f"{PATH}/{SHARED.id}", "cleo", status=404)
    await ask(f"{PATH}/{SHARED.id}/dismiss", "cleo", method="POST", json={"why": "x"}, status=404)
    await ask(f"{PATH}/nothing", "ada", "admin", status=404)


async def test_a_dismissal_is_the_callers_is_noted_and_can_be_taken_back(
    ask: Ask, engine: AsyncEngine
) -> None:
    path = f"{PATH}/{SHARED.id}"
    told = await ask(f"{path}/dismiss", method="POST", json={"why": "that is how I want it"})
    assert told["dismissed"]
    assert told["dismissal"]["why"] == "that is how I want it"
    assert (await ask(PATH))["open"] == 0
    assert (await ask(f"{PATH}?state=dismissed"))["total"] == 1
    for user, role in (("bob", "artist"), ("ada", "admin")):
        assert not (await ask(path, user, role))["dismissed"]
    told = await ask(f"{path}/recall", method="POST")
    assert told["dismissal"] is None
    deeds = await SqlAudit(engine, time.time, str).newest(NOW_MS * 2)
    assert {(deed.by_user, deed.action) for deed in deeds} == {
        ("ann", "advice.dismiss"), ("ann", "advice.recall"),
    }  # fmt: skip


async def test_viewers_only_look(ask: Ask) -> None:
    for path in (PATH, f"{PATH}/{SHARED.id}/dismiss", f"{PATH}/{SHARED.id}/recall"):
        await ask(path, "ann", "viewer", method="POST", json={"why": "x"}, status=403)


@pytest.mark.parametrize("body", [{}, {"why": ""}, {"why": 3}, {"why": "x" * 501}, [1]])
async def test_a_dismissal_says_why(ask: Ask, body: Any) -> None:
    answer = await ask(f"{PATH}/{SHARED.id}/dismiss", method="POST", json=body, status=400)
    assert "why" in answer["error"]


async def test_a_jobs_page_gets_what_concerns_it(ask: Ask) -> None:
    told = await ask("/api/v1/jobs/anns/advice")
    assert [one["id"] for one in told["advice"]] == [SHARED.id]
    assert (await ask("/api/v1/jobs/plain/advice"))["advice"] == []
    await ask("/api/v1/jobs/bobs/advice", status=404)
    assert (await ask("/api/v1/jobs/bobs/advice", "ada", "admin"))["advice"]


async def test_what_has_ended_is_still_told_when_asked_for(ask: Ask, advice: SqlAdvice) -> None:
    await advice.replace([], NOW_MS)
    assert (await ask(PATH))["advice"] == []
    (one,) = (await ask(f"{PATH}?state=ended"))["advice"]
    assert one["ended_ms"] == NOW_MS
    assert (await ask("/api/v1/jobs/anns/advice"))["advice"] == []


async def test_it_is_found_anew_where_somebody_asks(ask: Ask) -> None:
    assert not (await ask(PATH))["asked"]
    await ask(PATH, method="POST", status=202)
    assert (await ask(PATH))["asked"]
