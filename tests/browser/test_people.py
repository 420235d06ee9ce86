"""Who may come in, and who sees what."""

from __future__ import annotations

import asyncio
import json

from tests.browser.conftest import CLEO, DORA, EVE, Opener
from tests.clients import image_prompt, sampling_prompt


async def test_a_key_opens_the_page_and_logging_out_closes_it(new_tab: Opener) -> None:
    tab = await new_tab()
    tab.problems.expect("POST /login 401")
    await tab.page.goto(tab.url + "/")
    await tab.page.get_by_label("Your key").fill("wrong-key-of-somebody")
    await tab.page.get_by_role("button", name="Log in").click()
    assert "not valid" in await tab.page.get_by_role("alert").inner_text()
    await tab.log_in(EVE)
    assert tab.page.url == tab.url + "/"
    await tab.page.goto(tab.url + "/logout")
    await tab.page.get_by_label("Your key").wait_for()
    # asked beside the page, whose own rules let it fetch nothing
    assert (await tab.page.request.get(tab.url + "/api/queue")).status == 401
    await tab.page.goto(tab.url + "/")
    assert "/login" in tab.page.url


async def test_the_browser_is_told_what_the_page_is_as_an_app(new_tab: Opener) -> None:
    tab = await new_tab()
    await tab.log_in(EVE)
    # what Chromium does by itself in a window: it fetches the manifest without cookies
    devtools = await tab.page.context.new_cdp_session(tab.page)
    told = await devtools.send("Page.getAppManifest")
    assert told["errors"] == []
    assert json.loads(told["data"])["name"] == "ComfyUI"


async def test_two_people_at_once_see_nothing_of_each_other(new_tab: Opener) -> None:
    cleo, dora = await new_tab(), await new_tab()
    await cleo.log_in(CLEO)
    await dora.log_in(DORA)
    await dora.open_graph(sampling_prompt(seed=8, size=1024, steps=60, prefix="same"))
    await dora.press_run()
    await dora.heard("progress")
    await cleo.open_graph(image_prompt(0x123456, prefix="same"))
    await cleo.press_run()
    await asyncio.gather(cleo.ended(), dora.ended())
    ids = [{str(d["prompt_id"]) for d in tab.told("execution_start")} for tab in (cleo, dora)]
    assert [len(mine) for mine in ids] == [1, 1]
    assert not any(one in str(dora.frames) for one in ids[0])
    assert not any(one in str(cleo.frames) for one in ids[1])
    assert cleo.previews == []
    assert dora.previews
    for tab, mine, width in ((cleo, ids[0], 64), (dora, ids[1], 1024)):
        (picture,) = await tab.pictures()
        assert picture["width"] == width, "one name, and to each their own picture"
        assert {*await tab.get("/api/history")} == mine
        jobs = (await tab.get("/api/jobs"))["jobs"]
        assert {job["id"] for job in jobs} == mine
    (hers,) = ids[1]
    assert await cleo.get(f"/api/history/{hers}") == {}
    cleo.problems.expect(f"GET /api/jobs/{hers} 404")
    assert await cleo.get(f"/api/jobs/{hers}") == 404
