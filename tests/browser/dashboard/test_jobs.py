"""The pages of jobs: the list, one job's nodes over its memory, two side by side."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from simulator.day.play import Days
from tests.browser.dashboard.conftest import Open
from tests.day import FROM_MS, UNTIL_MS
from tests.integration.history.rows import GIB, attempt_row, job_row, node_row
from tests.integration.history.test_timeline import prompt_row
from tests.studio import STARTS, Studio

Ask = Callable[..., list[tuple[Any, ...]]]
OTHERS = ("ben", "cleo", "dora", "emil", "finn")


@pytest.fixture(scope="session")
def ask(day_file: tuple[Path, Days]) -> Ask:
    """What the store itself says."""

    def run(query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(day_file[0])) as store:
            return store.execute(query, values).fetchall()

    return run


def lane(page: Page, name: str) -> Any:
    return page.get_by_role("listbox", name="Nodes").get_by_role("option", name=name)


async def test_an_artist_lists_own_jobs_by_state_and_sees_no_other_name(
    open_page: Open, ask: Ask
) -> None:
    ((jobs, failed),) = ask(
        "select count(*), sum(state = 'FAILED') from jobs where user_name = 'finn'"
    )
    page = (await open_page("jobs?last=24h&state=FAILED", "finn")).page
    rows = page.get_by_role("table", name="Jobs, newest first").locator("tbody tr")
    await expect(rows).to_have_count(failed)
    await page.get_by_label("State").select_option("SUCCEEDED")
    await expect(page).to_have_url(re.compile("state=SUCCEEDED"))
    await expect(rows).to_have_count(jobs - failed)
    text = await page.locator("main").inner_text()
    assert not [name for name in ("anna", *OTHERS[:-1]) if name in text.split()]
    assert await page.get_by_label("User").count() == 0


async def test_an_admin_turns_pages_through_everybodys_jobs(open_page: Open, ask: Ask) -> None:
    ((jobs,),) = ask("select count(*) from jobs where user_name = 'anna'")
    page = (await open_page("jobs?last=24h&user=anna")).page
    rows = page.get_by_role("table", name="Jobs, newest first").locator("tbody tr")
    waiting = 3  # of anna's, in the pool at work
    await expect(rows).to_have_count(100 + waiting)
    await page.get_by_role("button", name="Show older jobs").click()
    await expect(rows).to_have_count(jobs + waiting)
    await expect(page.get_by_role("button", name="Show older jobs")).to_have_count(0)


async def test_a_slow_node_is_red_and_says_what_to_do(open_page: Open, ask: Ask) -> None:
    job, node, seconds = ask(
        "select job_id, node, seconds from node_runs join jobs on id = job_id and attempts = attempt"
        " where fallback = 'tiled' and node_runs.user_name = 'anna'"
        " order by node_runs.started_ms desc limit 1"
    )[0]
    page = (await open_page(f"jobs/{job}", "anna")).page
    found = page.get_by_role("region", name="Where the time went")
    await expect(found).to_contain_text(f"VAEDecode (node {node}) took {seconds:.1f} s")
    await expect(found).to_contain_text("Use a tiled VAE node or a lower resolution")
    decode = lane(page, "VAEDecode")
    await expect(decode).to_have_class(re.compile("slow"))
    await expect(decode).to_have_accessible_name(re.compile("over 5 s, peak .* fell back to tiles"))
    run = decode.locator(".lane-run")
    colour = await run.evaluate("one => getComputedStyle(one).backgroundColor")
    assert colour == "rgb(179, 38, 30)"
    await expect(page.get_by_role("group", name="Memory of the worker")).to_be_visible()
    await expect(page.get_by_role("row", name="Promised to the job")).to_contain_text("GiB")


async def test_keys_choose_a_node_and_a_link_leads_to_it(open_page: Open, ask: Ask) -> None:
    ((job,),) = ask(
        "select job_id from node_runs where class_type = 'KSampler' and user_name = 'anna'"
        " and not cached order by started_ms desc limit 1"
    )
    opened = await open_page(f"jobs/{job}", "anna")
    page = opened.page
    nodes = page.get_by_role("listbox", name="Nodes")
    await nodes.focus()
    await page.keyboard.press("Home")
    await expect(nodes.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    place, sampler = 1, page.get_by_role("heading", name="KSampler")
    while not await sampler.count():
        await page.keyboard.press("ArrowDown")
        place += 1
        # the next key goes on from where this one led
        await expect(page.locator(f"[aria-posinset='{place}']")).to_have_attribute(
            "aria-selected", "true"
        )
    sheet = page.get_by_role("article", name="KSampler")
    await expect(sheet.get_by_role("row", name="steps")).to_contain_text(re.compile(r"\d+"))
    await expect(sheet).to_contain_text(re.compile(r"of the runs took no longer|Slower than all"))
    await expect(sheet.get_by_role("img", name="Seconds of KSampler")).to_be_visible()
    await page.reload()
    await expect(sheet).to_be_visible()
    await nodes.focus()
    await page.keyboard.press("z")
    await expect(page).to_have_url(re.compile("from="))
    await page.keyboard.press("Escape")
    await expect(sheet).to_have_count(0)
    await page.keyboard.press("0")
    await expect(page).not_to_have_url(re.compile("from="))


async def test_a_retry_is_told_with_the_memory_that_was_too_little(
    open_page: Open, ask: Ask
) -> None:
    job, user = ask("select id, user_name from jobs where ooms > 0 and state = 'SUCCEEDED'")[0]
    page = (await open_page(f"jobs/{job}", user)).page
    story = page.get_by_role("region", name="From posting to its end")
    await expect(story).to_contain_text("out of memory; queued again")
    await expect(page.get_by_role("heading", name="Nodes and memory of try 2")).to_be_visible()
    await expect(page.get_by_role("region", name="Where the time went")).to_contain_text(
        "Try 1 ran out of memory with"
    )
    await story.get_by_role("link", name="try 1 ran").click()
    await expect(page.get_by_role("heading", name="Nodes and memory of try 1")).to_be_visible()


async def test_a_failed_job_shows_where_it_broke_and_what_it_never_reached(
    open_page: Open, ask: Ask
) -> None:
    job, user, name, error = ask(
        "select job_id, user_name, class_type, error from node_runs where result = 'failure'"
        " and error is not null order by started_ms desc limit 1"
    )[0]
    page = (await open_page(f"jobs/{job}", user, theme="dark")).page
    await expect(page.get_by_role("region", name="Where the time went")).to_contain_text(error)
    broken = lane(page, name)
    await expect(broken).to_have_class(re.compile("failed"))
    await expect(broken).to_contain_text("✕")
    await expect(lane(page, "not reached").first).to_be_visible()
    await page.get_by_role("link", name="Show the node").first.click()
    await expect(page.get_by_role("article", name=name)).to_contain_text(f"It raised {error}.")


async def test_what_is_not_known_of_a_curve_is_said(
    open_page: Open, day_file: tuple[Path, Days]
) -> None:
    end = FROM_MS - 7_200_000
    prompt = prompt_row("holed", end - 10_000, worker="w-holed", user_name="zoe")
    points = json.dumps([[n * 250, GIB, 2 * GIB, 5 * GIB] for n in range(8)])
    pieces = [{"worker": "w-holed", "at_ms": end - at, "points": points} for at in (10_000, 2_000)]
    gap = {"subject": "worker:w-holed", "until_ms": end - 2_000, "lost": 24, "why": "overflow"}
    with closing(sqlite3.connect(day_file[0])) as store:
        _insert(store, "jobs", [job_row("holed", end, user_name="zoe", fingerprint="fp-holed")])
        _insert(store, "attempts", [attempt_row("holed", end, user_name="zoe")])
        _insert(store, "prompt_runs", [prompt])
        _insert(store, "curves", pieces)
        _insert(store, "gaps", [gap])
    page = (await open_page("jobs/holed")).page
    said = page.get_by_text("of this time are not known")
    await expect(said).to_contain_text("6.25 s")
    await expect(said).to_contain_text("the probe had to drop 24 records")


async def test_two_runs_are_put_side_by_side(open_page: Open, ask: Ask) -> None:
    job = ask(
        "select job_id from node_runs where fallback = 'tiled' and user_name = 'anna'"
        " order by started_ms desc limit 1"
    )[0][0]
    page = (await open_page(f"jobs/{job}", "anna")).page
    other = page.get_by_label("Another run", exact=True)
    quickest = await other.locator("option", has_text="a usual one").get_attribute("value")
    assert quickest is not None
    await other.select_option(quickest)
    await page.get_by_role("button", name="Compare").click()
    await expect(page).to_have_url(re.compile(f"with={quickest}"))
    await expect(page.get_by_role("heading", name="Two runs side by side")).to_be_visible()
    await expect(page.get_by_text(re.compile("A took .* than B|same time"))).to_be_visible()
    nodes = page.get_by_role("table", name="Nodes, what lost most time first")
    await expect(nodes.get_by_role("row").nth(1)).to_contain_text(re.compile(r"[+−]\d|0 s"))


async def test_somebody_elses_job_is_not_there(open_page: Open, ask: Ask) -> None:
    ((job, mine),) = ask(
        "select (select id from jobs where user_name = 'ben' limit 1),"
        " (select id from jobs where user_name = 'anna' limit 1)"
    )
    for route in (f"jobs/{job}", f"jobs/{mine}?with={job}"):
        opened = await open_page(route, "anna")
        opened.problems.expect(r"GET /dashboard/api/v1/jobs/\S+ 404")
        await expect(opened.page.locator(".problem")).to_contain_text("You have no such job")


async def test_a_job_that_runs_shows_the_node_it_is_at(open_page: Open, studio: Studio) -> None:
    job = studio.jobs["a"]
    page = (await open_page(f"jobs/{job.id}", "anna")).page
    await expect(page.get_by_text("Just now it runs")).to_contain_text("KSampler, 11 of 20")
    await expect(lane(page, "KSampler")).to_have_class(re.compile("running"))
    await expect(lane(page, "VAEDecode")).to_contain_text("to come")
    waiting = studio.jobs["a2"]
    await studio.foresee(**STARTS)  # those of the begin may be over by now
    page = (await open_page(f"jobs/{waiting.id}", "anna")).page
    await expect(page.get_by_text("the most that is free on one GPU is 7.6 GiB")).to_be_visible()
    await expect(page.get_by_text("in 9 of 10 cases within")).to_be_visible()


async def test_a_graph_of_two_thousand_nodes_draws_what_is_in_sight(
    open_page: Open, day_file: tuple[Path, Days]
) -> None:
    end = FROM_MS - 3_600_000
    nodes = [
        node_row("large", end - 9000 + n * 4, node=str(n), seconds=0.004, user_name="zoe")
        for n in range(2000)
    ]
    with closing(sqlite3.connect(day_file[0])) as store:
        _insert(store, "jobs", [job_row("large", end, user_name="zoe", fingerprint="fp-large")])
        _insert(store, "attempts", [attempt_row("large", end, user_name="zoe")])
        _insert(store, "node_runs", nodes)
    page = (await open_page("jobs/large")).page
    options = page.get_by_role("listbox", name="Nodes").get_by_role("option")
    await expect(options.first).to_have_attribute("aria-setsize", "2000")
    assert await options.count() < 60
    await page.get_by_role("listbox", name="Nodes").focus()
    await page.keyboard.press("End")
    chosen = page.locator(".lane.selected")
    await expect(chosen).to_have_attribute("aria-posinset", "2000")
    await expect(page.get_by_role("article", name="KSampler")).to_contain_text("node 1999")
    assert await options.count() < 60


def _insert(store: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    marks = ", ".join("?" * len(names))
    store.executemany(
        f"insert into {table} ({', '.join(names)}) values ({marks})",
        [[row[name] for name in names] for row in rows],
    )
    store.commit()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_nothing_serious_is_found_by_axe(
    open_page: Open, ask: Ask, theme: str, width: int
) -> None:
    job, node = ask(
        "select job_id, node from node_runs where fallback = 'tiled' and user_name = 'anna'"
        " order by started_ms desc limit 1"
    )[0]
    other, kind = ask("select id, fingerprint from jobs where user_name = 'anna' and attempts > 1")[
        0
    ]
    span = f"from={FROM_MS}&until={UNTIL_MS}"
    for route in (
        f"jobs?{span}&workflow={kind}",
        f"jobs/{job}?node={node}",
        f"jobs/{job}?with={other}",
    ):
        opened = await open_page(route, "anna", theme=theme, width=width)
        await expect(opened.page.locator(".page table, .page svg").first).to_be_visible()
        assert await opened.findings() == [], route
        wide = await opened.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, route
