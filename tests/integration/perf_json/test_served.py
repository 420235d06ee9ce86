"""The files over HTTP: whose, in which form, and how they are refused."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from config.roles import Role
from dashboard.api.perf import Perf as Resource
from dashboard.perf_json import report as reports
from dashboard.perf_json.reading import read
from dashboard.perf_json.recording import Recording
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.report import PLACE, NotBuilt, report
from dashboard.perf_json.shapes import Perf
from dashboard.reading import reading
from store import history_schema, schema
from store.recordings import Scope
from tests.integration.history.rows import fill, job_row, node_row
from tests.integration.perf_json.conftest import FROM_MS, NOW_MS, SECRET
from tests.unit.dashboard.perf_json.files import check_schema
from tests.unit.dashboard.perf_json.traces import check_trace

DAY_MS = 86_400_000
SPAN = f"from={FROM_MS}&until={NOW_MS}"
ADMIN = {"X-User": "root", "X-Role": "admin"}
ANN = {"X-User": "ann", "X-Role": "artist"}


def who(request: web.Request) -> tuple[str, Role]:
    return request.headers["X-User"], Role(request.headers["X-Role"])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return page_of(tmp_path, 0)


def page_of(folder: Path, size: int) -> Path:
    """A page of so many bytes, or a few more."""
    path = folder / "report.html"
    path.write_text(f"<!doctype html><script>{PLACE}</script>{' ' * size}")
    return path


@pytest.fixture
async def client(engine: AsyncEngine, page: Path) -> AsyncIterator[TestClient]:
    app = web.Application()
    ids = iter(str(number) for number in range(100))
    readers = reading(engine, time.time, lambda: next(ids))
    app.add_routes(Resource(readers, who, template=page).routes())
    async with TestClient(TestServer(app)) as opened:
        yield opened


def inside(content: bytes) -> bytes:
    """The recording in a report."""
    packed = re.search(rb"<script>([A-Za-z0-9+/=]*)</script>", content)
    assert packed is not None
    return zlib.decompress(base64.b64decode(packed[1]), 31)


async def test_an_admin_gets_all_and_that_is_written_down(
    client: TestClient, engine: AsyncEngine
) -> None:
    answer = await client.get(f"/api/v1/perf?{SPAN}", headers=ADMIN)
    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="vramgate-')
    assert answer.headers["Cache-Control"] == "no-store"
    perf = read(await answer.read())
    assert isinstance(perf, Perf)
    assert len(perf.jobs) == 3
    async with engine.connect() as connection:
        audit = history_schema.audit.c
        rows = (await connection.execute(select(audit.by_user, audit.action))).all()
    assert [tuple(row) for row in rows] == [("root", "export")]


@pytest.mark.parametrize("path", ["perf", "jobs/ann-1/perf"])
async def test_an_artist_gets_the_own_work_only(client: TestClient, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}?{SPAN}", headers=ANN)
    content = await answer.read()
    check_schema(content)
    assert b"bob" not in content
    assert SECRET.encode() not in content
    assert b"ann-1" in content


@pytest.mark.parametrize("path", [f"perf?{SPAN}", "jobs/ann-1/perf?"])
async def test_chromes_format_is_one_word_away(client: TestClient, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}&format=chrome", headers=ANN)
    assert answer.headers["Content-Disposition"].endswith('.trace.json"')
    assert check_trace(await answer.read())


REFUSED = [
    ("jobs/bob-1/perf", ANN, 404, "of yours"),
    ("jobs/nothing/perf", ADMIN, 404, "Nothing is kept"),
    ("jobs/bob-1/perf?user=bob", ANN, 403, "admins"),
    (f"perf?{SPAN}&user=bob", ANN, 403, "admins"),
    (f"perf?{SPAN}&names=true", ANN, 403, "leave `names` out"),
    (f"report?{SPAN}&names=true", ANN, 403, "leave `names` out"),
    (f"perf?{SPAN}&format=xml", ANN, 400, "format"),
    (f"perf?{SPAN}&names=yes", ADMIN, 400, "names"),
    ("perf?from=5&until=4", ANN, 400, "from"),
    (f"perf?from={NOW_MS - 32 * DAY_MS}&until={NOW_MS}", ADMIN, 400, "31 days"),
    (f"report?from={NOW_MS - 32 * DAY_MS}&until={NOW_MS}", ADMIN, 400, "31 days"),
]


async def test_a_refusal_says_what_to_do(client: TestClient) -> None:
    for path, headers, status, told in REFUSED:
        answer = await client.get(f"/api/v1/{path}", headers=headers)
        assert (answer.status, path) == (status, path)
        assert told in (await answer.json())["error"]


async def test_an_admin_may_ask_for_true_names_and_gets_no_text_all_the_same(
    client: TestClient,
) -> None:
    answer = await client.get(f"/api/v1/perf?{SPAN}&names=true", headers=ADMIN)
    content = await answer.read()
    assert b'"user":"bob"' in content
    assert SECRET.encode() not in content


async def test_a_report_is_a_page_with_the_recording_in_it(client: TestClient) -> None:
    answer = await client.get(f"/api/v1/report?{SPAN}", headers=ANN)
    assert answer.content_type == "text/html"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    content = inside(await answer.read())
    check_schema(content)
    assert b"bob" not in content
    assert b"ann-2" in content
    assert SECRET.encode() not in content


async def test_a_page_that_is_not_built_is_told_so(client: TestClient, page: Path) -> None:
    await asyncio.to_thread(page.unlink)
    answer = await client.get(f"/api/v1/report?{SPAN}", headers=ANN)
    assert answer.status == 503
    assert "build_ui" in (await answer.json())["error"]


async def test_too_many_at_a_time_are_asked_to_come_again(client: TestClient) -> None:
    asked = [client.get(f"/api/v1/report?{SPAN}", headers=ANN) for _ in range(6)]
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status == 503)
    assert "try again" in (await refused.json())["error"]


async def test_nobody_keeps_all_others_from_their_files(client: TestClient) -> None:
    bob = {"X-User": "bob", "X-Role": "artist"}
    asked = [client.get(f"/api/v1/report?{SPAN}", headers=ANN) for _ in range(9)]
    *_, bobs = await asyncio.gather(*asked, client.get(f"/api/v1/report?{SPAN}", headers=bob))
    assert bobs.status == 200


async def test_a_day_of_a_large_studio_is_a_report_below_five_megabytes(
    recording: Recording, engine: AsyncEngine, tmp_path: Path
) -> None:
    """What a day of 5,000 jobs and 50,000 nodes comes to, beside 400 kB of page."""
    step = 3_600_000 // 5000
    jobs = [
        job_row(f"{n:08x}-{n * 7919 % 65536:04x}-4f1c", FROM_MS + n * step, number=n,
                peak_bytes=n * 7_654_321, user_name=f"user{n % 60}")
        for n in range(5000)
    ]  # fmt: skip
    nodes = [
        node_row(job["id"], job["started_ms"] + 900 * n, node=str(n), user_name=job["user_name"],
                 seconds=(job["number"] * 7919 % 1000) / 1000 + n / 9, peak_bytes=n * 987_654_321,
                 class_type=f"Class{n}")
        for job in jobs for n in range(10)
    ]  # fmt: skip
    await fill(engine, schema.jobs, jobs)
    await fill(engine, history_schema.node_runs, nodes)
    scope = Scope(from_ms=FROM_MS, until_ms=NOW_MS)
    made = await report(recording, scope, Names(), page_of(tmp_path, 400_000))
    assert len(made) < reports.MOST_BYTES
    content = inside(made.replace(b" " * 400_000, b""))
    perf = read(content)
    assert isinstance(perf, Perf)
    assert len(perf.jobs) >= 4900
    assert len(perf.nodes) > 45_000


async def test_a_report_that_would_be_too_large_has_less_in_it_and_says_so(
    recording: Recording, tmp_path: Path
) -> None:
    page = page_of(tmp_path, reports.MOST_BYTES)
    made = await report(recording, Scope(from_ms=FROM_MS, until_ms=NOW_MS), Names(), page)
    perf = read(inside(made))
    assert isinstance(perf, Perf)
    assert sum(len(piece.at_ms) for piece in perf.memory) < 120


async def test_a_report_wants_its_page(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="build_ui"):
        await report(
            recording, Scope(from_ms=FROM_MS, until_ms=NOW_MS), Names(), tmp_path / "none.html"
        )
