"""Pictures that go in: dropped on a node, masked, or with a workflow inside."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from tests.browser.frontend import Frontend
from tests.clients import image_prompt


def loading(name: str) -> dict[str, Any]:
    """LoadImage → SaveImage."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "in"}},
    }


def png(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


async def bytes_of(tab: Frontend, src: str) -> bytes:
    """What a picture on the canvas was loaded from."""
    text: str = await tab.page.evaluate(
        """async src => {
            const bytes = new Uint8Array(await (await fetch(src)).arrayBuffer());
            return btoa(Array.from(bytes, one => String.fromCharCode(one)).join(''));
        }""",
        src,
    )
    return base64.b64decode(text)


async def wait_for_widget(tab: Frontend, text: str) -> None:
    """Until the name of LoadImage's picture has this in it."""
    await tab.page.wait_for_function(
        """text => window.app.graph._nodes.some(node => node.type === 'LoadImage'
            && String(node.widgets[0].value).includes(text))""",
        arg=text,
    )


async def test_a_picture_dropped_on_a_node_is_uploaded_masked_and_run(tab: Frontend) -> None:
    tab.problems.expect(r"GET /api/view\?\S*filename=none\.png\S* 404")
    await tab.open_graph(loading("none.png"))
    await tab.drop("dropped.png", png((48, 40)), onto="LoadImage")
    await wait_for_widget(tab, "dropped.png")
    assert [one["width"] for one in await tab.pictures("LoadImage")] == [48]
    await tab.press_run()
    await tab.ended()
    (picture,) = await tab.pictures()
    assert picture["width"] == 48

    await tab.select("LoadImage")
    await tab.command("Comfy.MaskEditor.OpenMaskEditor")
    await tab.save_mask()
    await wait_for_widget(tab, "clipspace")
    (masked,) = await tab.pictures("LoadImage")
    alpha = Image.open(io.BytesIO(await bytes_of(tab, masked["src"]))).getchannel("A")
    assert alpha.getextrema() == (0, 255), "the stroke is the mask"
    await tab.press_run()
    await tab.ended(2)
    assert tab.told("execution_error") == []


async def test_a_picture_that_was_made_brings_its_workflow_back(tab: Frontend) -> None:
    await tab.open_graph(image_prompt(0xABCDEF, prefix="mine"))
    await tab.press_run()
    await tab.ended()
    (picture,) = await tab.pictures(named="mine")
    content = await bytes_of(tab, picture["src"])
    assert "workflow" in Image.open(io.BytesIO(content)).info
    await tab.page.evaluate("() => window.app.graph.clear()")
    await tab.drop_workflow("mine_00001_.png", content)
    assert (await tab.widgets("EmptyImage"))["color"] == 0xABCDEF
    assert (await tab.widgets("SaveImage"))["filename_prefix"] == "mine"
