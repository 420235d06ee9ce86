"""A file sent to one gateway is there for all of them."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

from aiohttp import FormData, web
from aiohttp.test_utils import TestServer

from tests.integration.gateway_info.conftest import ANN, BOB, TOKEN, Clock, png
from tests.integration.gateways.conftest import Pool, Replica, Start

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


async def test_an_upload_is_usable_at_once_through_the_other_gateway(
    pair: Pair, pool: Pool
) -> None:
    await pair[1].get("/object_info")  # which remembers for a moment what there was
    kept = await pair[0].upload(png((9, 9, 9)), "new.png")
    assert await pair[1].get("/view?type=input&filename=new.png") == png((9, 9, 9))
    answer = await pair[1].post("/prompt", {"prompt": load(kept["name"])})
    job = await pool.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert [file.path for file in job.inputs] == ["new.png"]


async def test_an_upload_is_listed_by_the_other_gateway_within_a_moment(start: Start) -> None:
    clock = Clock()
    pair = await start(), await start(clock=clock)
    assert "new.png" not in await choices(pair[1])
    await pair[0].upload(png((9, 9, 9)), "new.png")
    clock.now += 2.5
    assert "new.png" in await choices(pair[1])
    assert "new.png" not in await choices(pair[1], BOB)


async def choices(replica: Replica, who: dict[str, str] = ANN) -> list[str]:
    info = await replica.get("/object_info", who)
    listed: list[str] = info["LoadImage"]["input"]["required"]["image"][0]
    return listed


def load(name: str) -> dict[str, Any]:
    """Load a picture and save it."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


class TestOnDifferentHosts:
    async def test_bytes_are_fetched_once_and_kept(self, start: Start, pool: Pool) -> None:
        here, there = await start("here"), await start("there")
        await announced(pool, 2)
        body = png((1, 2, 3))
        await there.upload(body, "far.png")
        assert await here.get("/view?type=input&filename=far.png") == body
        await there.client.close()
        assert await here.get("/view?type=input&filename=far.png") == body
        drawn = await here.call("GET", "/view?type=input&filename=far.png&preview=webp;80")
        assert drawn[0] == 200

    async def test_a_prompt_through_one_reads_what_the_other_was_sent(
        self, start: Start, pool: Pool
    ) -> None:
        here, there = await start("here"), await start("there")
        await announced(pool, 2)
        await there.upload(png((1, 2, 3), (64, 32)), "far.png")
        answer = await here.post("/prompt", {"prompt": load("far.png")})
        job = await pool.ledger.find("ann", answer["prompt_id"])
        assert job is not None
        (file,) = job.inputs
        # an agent asks any gateway; the one that took the prompt has it now, too
        assert here.services.blobs.path(file.sha256) is not None

    async def test_a_mask_is_drawn_over_a_picture_of_another_host(
        self, start: Start, pool: Pool
    ) -> None:
        here, there = await start("here"), await start("there")
        await announced(pool, 2)
        await there.upload(png((1, 2, 3)), "far.png")
        form = FormData()
        form.add_field("image", png((0, 0, 0, 128)), filename="m.png", content_type="image/png")
        form.add_field("original_ref", '{"filename": "far.png", "type": "input"}')
        status, kept = await here.call("POST", "/upload/mask", data=form)
        assert (status, kept["name"]) == (200, "m.png")
        assert (await here.call("GET", "/view?type=input&filename=m.png"))[0] == 200

    async def test_nobody_reaches_anothers_file_that_way(self, start: Start, pool: Pool) -> None:
        here, there = await start("here"), await start("there")
        await announced(pool, 2)
        body = png((1, 2, 3))
        await there.upload(body, "far.png")
        assert (await here.call("GET", "/view?type=input&filename=far.png", BOB))[0] == 404
        digest = sha256(body).hexdigest()
        assert here.services.blobs.path(digest) is None
        assert (await there.call("GET", f"/cluster/v1/inputs/{digest}", ANN))[0] == 401
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert (await there.call("GET", f"/cluster/v1/inputs/{digest}", token))[0] == 200
        # asked by an agent, a gateway tells only of what it has: nobody goes round in circles
        assert (await here.call("GET", f"/cluster/v1/inputs/{digest}", token))[0] == 404

    async def test_other_bytes_are_never_passed_for_those_asked_for(
        self, start: Start, pool: Pool
    ) -> None:
        here, there = await start("here"), await start("there")
        body = png((1, 2, 3))
        await there.upload(body, "far.png")
        await there.client.close()

        async def forged(request: web.Request) -> web.Response:
            return web.Response(body=png((6, 6, 6)))

        async def endless(request: web.Request) -> web.Response:
            return web.Response(body=body + bytes(2**20))

        for handler in (forged, endless):
            app = web.Application()
            app.router.add_get("/cluster/v1/inputs/{sha256}", handler)
            async with TestServer(app, host="127.0.0.1") as server:
                await pool.ledger.announce_gateway("evil", str(server.make_url("")), 60_000)
                assert (await here.call("GET", "/view?type=input&filename=far.png"))[0] == 404


async def announced(pool: Pool, count: int) -> None:
    """Wait until so many gateways are known."""
    async with asyncio.timeout(30):
        while len((await pool.ledger.pool()).gateways) < count:
            await asyncio.sleep(0.01)
