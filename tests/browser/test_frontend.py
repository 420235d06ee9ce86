"""ComfyUI's stock frontend 1.27.10, unmodified, from load to picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.clients import image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN, BOB


async def test_it_loads_runs_shows_previews_and_the_picture(open_as: Callable[..., Any]) -> None:
    tab = await open_as(ANN)
    await tab.open_graph(sampling_prompt(seed=5, steps=6))
    await tab.press_run()
    await tab.wait_for("progress", 6)
    await tab.ended()
    assert tab.previews, "no preview frames"
    assert [p["width"] for p in await tab.saved_pictures()] == [512]
    assert tab.failed == []


async def test_a_run_is_cancelled_and_pending_ones_are_cleared(
    open_as: Callable[..., Any],
) -> None:
    tab = await open_as(ANN)
    await tab.open_graph(sampling_prompt(seed=6, steps=3000))
    await tab.command("Comfy.QueuePrompt")
    await tab.wait_for("progress")
    await tab.command("Comfy.Interrupt")
    await tab.wait_for("execution_interrupted")
    await tab.ended()
    statuses = await tab.wait_for("status")
    assert statuses[-1]["status"]["exec_info"]["queue_remaining"] == 0


async def test_two_users_in_two_browsers_see_only_their_own(open_as: Callable[..., Any]) -> None:
    ann, bob = await open_as(ANN), await open_as(BOB)
    await ann.open_graph(image_prompt(0x123456, prefix="anns"))
    await ann.press_run()
    await ann.ended()
    mine = {f["data"]["prompt_id"] for f in ann.frames if "prompt_id" in f["data"]}
    assert mine
    assert not any(prompt_id in str(bob.frames) for prompt_id in mine)
    (picture,) = await ann.saved_pictures()
    found = await bob.page.evaluate("async src => (await fetch(src)).status", picture["src"])
    assert found == 404
    history = await bob.page.evaluate("async () => (await fetch('/api/history')).json()")
    assert history == {}


async def test_a_reload_keeps_the_login_and_finds_the_running_prompt(
    open_as: Callable[..., Any],
) -> None:
    tab = await open_as(BOB)
    await tab.open_graph(sampling_prompt(seed=8, steps=6000))
    await tab.command("Comfy.QueuePrompt")
    await tab.wait_for("progress", 3)
    await tab.reload()
    await tab.wait_for("executing")
    await tab.wait_for("progress", 3)
    await tab.command("Comfy.Interrupt")
    await tab.wait_for("execution_interrupted")
