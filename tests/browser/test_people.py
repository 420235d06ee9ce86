"""Who may come in, and who sees what."""

from __future__ import annotations

from tests.browser.conftest import EVE, Opener


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
