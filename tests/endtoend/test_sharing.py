"""A group that shares outputs and queue, through every process."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest

from tests.clients import Client, Refused, image_prompt
from tests.endtoend.conftest import KEYS
from tests.endtoend.stack import Stack
from tests.endtoend.test_path import colour

MIA = "key-of-mia-0001"
SHARING = f"""{KEYS}
  - {{name: mia, group: film, key: {MIA}}}
groups:
  - {{name: film, share_outputs: true, share_queue: true}}
"""
COLOUR = 0x336699


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    return start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=20", config=SHARING)


@pytest.fixture
def mia(stack: Stack, http: aiohttp.ClientSession) -> Client:
    return Client(http, stack.url, {"Authorization": f"Bearer {MIA}"})


def loading(name: str) -> dict[str, object]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


async def test_a_mates_picture_is_found_in_the_history_and_used_as_an_input(
    ann: Client, mia: Client, bob: Client
) -> None:
    prompt_id = await mia.queue(image_prompt(COLOUR, prefix="shots/take"))
    await mia.ended(prompt_id)
    entry = (await ann.get("/history"))[prompt_id]
    (image,) = next(iter(entry["outputs"].values()))["images"]
    assert image["subfolder"] == "@mia/shots"
    assert colour(await ann.view(image)) == (0x33, 0x66, 0x99)
    name = f"{image['subfolder']}/{image['filename']} [output]"
    own = await ann.queue(loading(name))
    await ann.ended(own)
    (made,) = await ann.images(own)
    assert made["subfolder"] == ""
    assert colour(await ann.view(made)) == (0x33, 0x66, 0x99)
    assert (await ann.get("/history"))[own]["prompt"][2]["1"]["inputs"]["image"] == name
    assert await bob.get("/history") == {}
    with pytest.raises(Refused):
        await bob.queue(loading(name))


async def test_a_prefix_that_reads_as_a_mates_folder_makes_files_of_ones_own(
    ann: Client, mia: Client
) -> None:
    theirs = await mia.queue(image_prompt(0x00FF00, prefix="same"))
    await mia.ended(theirs)
    own = await ann.queue(image_prompt(COLOUR, prefix="@mia/same"))
    await ann.ended(own)
    (made,) = await ann.images(own)
    assert made["subfolder"] == "_@mia"
    assert colour(await ann.view(made)) == (0x33, 0x66, 0x99)
    assert colour(await ann.view({**made, "subfolder": "@mia"})) == (0x00, 0xFF, 0x00)
