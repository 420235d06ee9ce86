"""What a person leaves behind and finds again: settings and workflows."""

from __future__ import annotations

from tests.browser.conftest import CLEO, DORA, Opener
from tests.clients import image_prompt

_LINKS = "Comfy.LinkRenderMode"


async def test_settings_and_workflows_outlive_a_reload_and_are_ones_own(new_tab: Opener) -> None:
    tab = await new_tab()
    await tab.log_in(CLEO)
    await tab.page.evaluate("key => window.app.extensionManager.setting.set(key, 0)", _LINKS)
    await tab.open_graph(image_prompt(0xABCDEF))
    await tab.save_workflow("my flow")

    await tab.reload()
    kept = "key => window.app.extensionManager.setting.get(key)"
    assert await tab.page.evaluate(kept, _LINKS) == 0
    await tab.command("Comfy.NewBlankWorkflow")
    await tab.open_workflow("my flow")
    assert (await tab.widgets("EmptyImage"))["color"] == 0xABCDEF

    other = await new_tab()
    await other.log_in(DORA)
    assert await other.page.evaluate(kept, _LINKS) != 0
    assert await other.get("/api/userdata?dir=workflows&recurse=true&full_info=true") == 404
    assert await other.get("/api/userdata/workflows%2Fmy%20flow.json") == 404
    other.problems.expect(r"GET /api/userdata/workflows%2Fmy%20flow\.json 404")

    await tab.delete_workflow("my flow")
    tab.problems.expect(r"GET /api/userdata/workflows%2Fmy%20flow\.json 404")
    assert await tab.get("/api/userdata/workflows%2Fmy%20flow.json") == 404
