"""The panels: what waits, what runs, what was made; and the buttons that end it."""

from __future__ import annotations

import pytest

from tests.browser.frontend import Frontend
from tests.clients import image_prompt, sampling_prompt


def endless(seed: int, steps: int = 10_000) -> dict[str, object]:
    """Longer than any test, and with few previews, which a page draws slowly."""
    return sampling_prompt(seed, checkpoint="sdxl.safetensors", size=2048, steps=steps)


async def test_the_running_prompt_is_cancelled_by_the_button(tab: Frontend) -> None:
    await tab.open_graph(endless(1))
    await tab.press_run()
    await tab.heard("progress")
    await tab.press_cancel()
    (end,) = await tab.heard("execution_interrupted")
    assert end["node_type"] == "KSampler"
    await tab.ended()
    assert tab.remaining() == 0


async def test_the_panel_shows_what_was_made_and_opens_it_again(tab: Frontend) -> None:
    for shade in (0xFF0000, 0x00FF00):
        await tab.open_graph(image_prompt(shade, prefix="made"))
        await tab.press_run()
    await tab.ended(2)
    await tab.open_panel()
    shown = await tab.panel(lambda entries: [e for e in entries if e.thumbnail] == entries != [])
    assert len(shown) == 2
    assert all("filename=made_0000" in (entry.thumbnail or "") for entry in shown)
    await tab.open_graph(image_prompt(0))
    await tab.open_made(1)
    await tab.page.wait_for_function(
        "() => window.app.graph._nodes.some(n => n.widgets?.some(w => w.value === 0xff0000))"
    )


async def test_a_reload_in_the_middle_of_a_run_brings_its_state_back(tab: Frontend) -> None:
    await tab.open_graph(endless(3))
    await tab.press_run()
    await tab.heard("progress", 2)
    await tab.reload()
    (current,) = (await tab.heard("executing"))[:1]
    assert current["node"] == "3"
    await tab.heard("progress", 2)
    assert tab.remaining() == 1
    await tab.open_panel()
    await tab.panel(lambda entries: [tab.waits(e) for e in entries] == [False])
    await tab.press_cancel()
    await tab.heard("execution_interrupted")
    await tab.ended()


async def test_the_assets_panel_shows_pictures_made_and_brought(
    tab: Frontend, version: str
) -> None:
    if version != "1.58.1":
        pytest.skip("1.27.10 has none")
    await tab.open_graph(image_prompt(0x0000FF, prefix="asset"))
    await tab.press_run()
    await tab.ended()
    await tab.page.get_by_test_id("assets-tab-button").click()
    await tab.page.get_by_role("img", name="asset_00001_.png").first.wait_for()
    await tab.page.get_by_label("Close sidebar").click()
