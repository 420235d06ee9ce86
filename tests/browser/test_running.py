"""From the canvas to the picture, and what a person sees when it does not get there."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import BOB, Opener
from tests.browser.frontend import Frontend
from tests.clients import image_prompt, sampling_prompt


async def test_it_runs_shows_previews_and_the_picture(tab: Frontend) -> None:
    await tab.open_graph(sampling_prompt(seed=5, steps=30))
    await tab.press_run()
    await tab.heard("progress", 2)
    assert (await tab.pictures("KSampler"))[0]["width"] > 0
    await tab.ended()
    assert tab.previews
    assert {preview[:4] for preview in tab.previews} == {b"\0\0\0\4"}
    assert [picture["width"] for picture in await tab.pictures()] == [512]
    assert tab.remaining() == 0


async def test_the_command_of_its_menus_and_keys_runs_it_too(tab: Frontend) -> None:
    await tab.open_graph(image_prompt(0x123456, prefix="command"))
    await tab.command("Comfy.QueuePrompt")
    await tab.command("Comfy.QueuePromptFront")
    await tab.ended(2)
    (picture,) = await tab.pictures(named="command")
    assert "filename=command_0000" in picture["src"]


async def test_a_graph_that_is_refused_marks_the_node_and_says_why(tab: Frontend) -> None:
    tab.problems.expect("POST /api/prompt 400", "PromptExecutionError")
    graph = image_prompt()
    graph["1"]["inputs"]["width"] = 0
    await tab.open_graph(graph)
    await tab.press_run()
    text = await tab.error_text()
    assert await tab.marked() == ["EmptyImage"]
    assert "width" in text
    assert tab.told("execution_start") == []


def failing() -> dict[str, Any]:
    """A graph that is valid, and whose second node fails: a picture of no size."""
    graph = image_prompt(size=8)
    inputs = {"image": ["1", 0], "upscale_method": "bilinear", "scale_by": 0.01}
    graph["3"] = {"class_type": "ImageScaleBy", "inputs": inputs}
    graph["2"]["inputs"]["images"] = ["3", 0]
    return graph


async def test_a_node_that_fails_is_marked_and_its_error_is_told(tab: Frontend) -> None:
    await tab.open_graph(failing())
    await tab.press_run()
    await tab.ended()
    text = await tab.error_text()
    assert await tab.marked() == ["ImageScaleBy"]
    assert "Input and output sizes should be greater than 0" in text
    assert "ImageScaleBy" in text


async def test_what_a_new_user_finds_on_the_canvas_runs(new_tab: Opener) -> None:
    tab = await new_tab()
    await tab.log_in(BOB)
    if not tab.default_runs:
        await tab.open_graph(sampling_prompt(steps=2))
    await tab.press_run()
    await tab.ended()
    assert await tab.pictures()
