"""The pages of workflows: what kinds there are, how they fare, and what was learned of them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.async_api import expect

from scheduler.curve import Slowdown
from scheduler.profile import Profile, add_bytes, add_seconds, add_success, to_json
from scheduler.states import Guess
from tests.browser.dashboard.conftest import Open
from tests.browser.dashboard.test_jobs import Ask
from tests.browser.dashboard.test_jobs import ask as ask
from tests.day import UNTIL_MS
from tests.studio import GIB, Studio


async def test_workflows_have_names_and_figures(open_page: Open, ask: Ask) -> None:
    ((kinds,),) = ask("select count(distinct fingerprint) from usage where fingerprint != ''")
    page = (await open_page("workflows")).page
    rows = page.get_by_role("table", name="Workflows").locator("tbody tr")
    await expect(rows).to_have_count(kinds)
    await expect(rows.filter(has_text="sdxl_base · euler · 1024×1024").first).to_be_visible()
    most = ask("select count(*) from jobs group by fingerprint order by 1 desc limit 1")[0][0]
    await page.get_by_role("button", name="Jobs").click()
    await expect(rows.first).to_contain_text(str(most))
    await rows.first.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"#/workflows/[0-9a-f]{32}"))


async def test_an_artist_sees_own_runs_of_a_workflow_alone(open_page: Open, ask: Ask) -> None:
    kind, mine = ask(
        "select fingerprint, sum(user_name = 'ben') from jobs group by fingerprint"
        " having sum(user_name = 'ben') > 0 and count(distinct user_name) > 1"
        " order by count(*) desc limit 1"
    )[0]
    page = (await open_page(f"workflows/{kind}", "ben")).page
    await expect(page.get_by_text("Figures are those of your own jobs")).to_be_visible()
    await expect(page.locator(".totals dd").first).to_have_text(str(mine))
    text = await page.locator("main").inner_text()
    assert not [one for one in ("anna", "cleo", "dora", "emil", "finn") if one in text.split()]
    other = ask(
        "select fingerprint from jobs group by fingerprint having sum(user_name = 'ben') = 0"
    )[0][0]
    opened = await open_page(f"workflows/{other}", "ben")
    opened.problems.expect(r"GET /dashboard/api/v1/workflows/\S+ 404")
    await expect(opened.page.locator(".problem")).to_contain_text("You have no jobs of such")


async def test_a_workflow_shows_what_was_learned_and_how_right_it_was(
    open_page: Open, ask: Ask, studio: Studio
) -> None:
    kind = ask("select fingerprint from jobs group by fingerprint order by count(*) desc")[0][0]
    guess = Guess(bytes=12 * GIB, seconds=16.0, load_seconds=5.0)
    profile = add_success(Profile(), guess, UNTIL_MS)
    profile = add_bytes(add_seconds(profile, 1.0, UNTIL_MS, 1.0), 0.9, UNTIL_MS, 1.0)
    profile = replace(profile, slowdowns=(Slowdown(0.5, 2.5, 4),), too_small=0.25)
    await studio.ledger.put_profiles({kind: to_json(profile).encode()})
    page = (await open_page(f"workflows/{kind}")).page
    learned = page.get_by_role("region", name="What was learned")
    await expect(learned.get_by_role("row", name="Ran out of memory with")).to_contain_text(
        "3.0 GiB"
    )
    await learned.get_by_text("The curve in figures").click()
    step = learned.get_by_role("row").filter(has_text="6.0 GiB").last
    await expect(step).to_contain_text("40.0 s")
    await expect(step).to_contain_text("4 runs")
    right = page.get_by_role("region", name="Estimate against truth")
    await expect(
        right.get_by_role("img", name=re.compile("took longer than expected"))
    ).to_be_visible()
    await expect(right.get_by_role("row", name="up to 20 %").first).to_be_visible()
    await expect(page.get_by_role("group", name="Jobs a day")).to_be_visible()
    daily = page.get_by_role("table", name="Jobs a day")
    # a day, not its midnight
    latest = re.compile(r"^latest, \d+ \w+ \d{4}$")
    await expect(daily.get_by_role("columnheader").first).to_have_text(latest)


async def test_failing_nodes_lead_to_the_job_that_failed(open_page: Open, ask: Ask) -> None:
    kind, name, error, times = ask(
        "select fingerprint, class_type, error, count(*) from node_runs join jobs on id = job_id"
        " where node_runs.result = 'failure' and error != 'OutOfMemoryError' group by 1, 2, 3"
        " order by 4 desc limit 1"
    )[0]
    page = (await open_page(f"workflows/{kind}")).page
    failing = page.get_by_role("table", name="Nodes that failed")
    first = failing.locator("tbody tr").first
    for said in (name, error, str(times)):
        await expect(first).to_contain_text(said)
    await first.get_by_role("link").click()
    await expect(page.get_by_role("article", name=name)).to_contain_text(error)


async def test_two_runs_are_chosen_and_compared(open_page: Open, ask: Ask) -> None:
    kind = ask("select fingerprint from jobs group by fingerprint order by count(*) desc")[0][0]
    page = (await open_page(f"workflows/{kind}")).page
    button = page.get_by_role("button", name="Compare the two chosen")
    await expect(button).to_be_disabled()
    boxes = page.get_by_role("checkbox", name="Compare the run of")
    await boxes.nth(0).check()
    await boxes.nth(3).check()
    await button.click()
    await expect(page.get_by_role("heading", name="Two runs side by side")).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_nothing_serious_is_found_by_axe(
    open_page: Open, ask: Ask, theme: str, width: int
) -> None:
    kind = ask("select fingerprint from jobs group by fingerprint order by count(*) desc")[0][0]
    for route in ("workflows", f"workflows/{kind}"):
        opened = await open_page(route, theme=theme, width=width)
        await expect(opened.page.get_by_role("table").first).to_be_visible()
        assert await opened.findings() == [], route
        wide = await opened.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, route
