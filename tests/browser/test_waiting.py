"""What waits: its node says why, and the panel takes it back."""

from __future__ import annotations

import aiohttp

from tests.browser.conftest import BOB
from tests.browser.frontend import Entry, Frontend
from tests.browser.test_queue import endless
from tests.clients import Client
from tests.endtoend.stack import Stack

#: resolves once the text under a node has these words
_SAYS = """([type, words]) => window.app.graph._nodes.some(node => node.type === type
    && node.widgets?.some(widget => widget.name === '$$node-text-preview'
        && String(widget.value).includes(words)))"""


async def test_a_prompt_that_waits_says_on_its_node_why(tab: Frontend, stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        bob = Client(http, stack.url, {"Authorization": f"Bearer {BOB}"})
        theirs = [await bob.queue(endless(seed)) for seed in (11, 12, 13)]
        try:
            # as large as theirs: the GPU has no room for another
            await tab.open_graph(endless(14, steps=2))
            await tab.press_run()
            await tab.page.wait_for_function(_SAYS, arg=["SaveImage", "next of your prompts"])
            assert tab.told("execution_start") == []
        finally:
            await bob.post("/queue", {"delete": theirs})
            for one in theirs:
                await bob.post("/interrupt", {"prompt_id": one})
    await tab.ended()
    assert await tab.pictures()
    # only heard: the newer frontend takes the text off a node that has its picture
    assert any(b"started after" in text for text in tab.texts)
    assert any(b"waited" in text for text in tab.texts)


async def test_what_waits_is_taken_back_one_by_one_and_all_at_once(tab: Frontend) -> None:
    await tab.open_graph(endless(2))
    for _ in range(5):
        await tab.command("Comfy.QueuePrompt")
    await tab.heard("progress")
    await tab.until(lambda: tab.remaining() == 5)
    await tab.open_panel()

    def waiting(entries: list[Entry]) -> int:
        return sum(map(tab.waits, entries))

    # not counted by themselves: another may start at any moment
    await tab.panel(lambda entries: len(entries) == 5 and waiting(entries) >= 2)
    await tab.drop_pending(0)
    await tab.panel(lambda entries: len(entries) == 4 and waiting(entries) >= 1)
    await tab.until(lambda: tab.remaining() == 4)
    await tab.clear_pending()
    running = await tab.panel(lambda entries: waiting(entries) == 0)
    assert running
    await tab.until(lambda: tab.remaining() == len(running))
    assert tab.told("execution_interrupted") == []
