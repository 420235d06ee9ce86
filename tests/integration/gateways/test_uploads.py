"""A file sent to one gateway is there for all of them."""

from __future__ import annotations

import asyncio

from tests.integration.gateway_info.conftest import png
from tests.integration.gateways.conftest import Replica

Pair = tuple[Replica, Replica]


async def test_two_uploads_of_one_name_at_once_are_two_files(pair: Pair) -> None:
    colours = [png((n, 0, 0)) for n in range(16)]
    answers = await asyncio.gather(
        *(pair[n % 2].upload(body, "pic.png") for n, body in enumerate(colours))
    )
    names = [answer["name"] for answer in answers]
    assert len(set(names)) == len(names)
    for name, body in zip(names, colours, strict=True):
        assert await pair[0].get(f"/view?type=input&filename={name}") == body


async def test_the_same_bytes_at_once_are_one_file(pair: Pair) -> None:
    answers = await asyncio.gather(
        *(pair[n % 2].upload(png((1, 2, 3)), "pic.png") for n in range(8))
    )
    assert {answer["name"] for answer in answers} == {"pic.png"}
