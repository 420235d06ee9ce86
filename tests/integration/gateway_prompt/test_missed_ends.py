"""A client whose socket was away when its prompt ended."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from gateway import events
from scheduler.states import Job
from tests.integration.gateway_prompt.stage import Stage, Tab, kinds

FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})


async def greeted(
    stage: Stage, user: str = "ann", client_id: str = "tab", *, declares: bool = False
) -> list[Any]:
    """Frames of a fresh socket: all that it owes to its greeting, and what comes soon after."""
    url, headers = f"/ws?clientId={client_id}", {"X-Test-User": user}
    async with stage.client.ws_connect(url, headers=headers) as socket:
        tab = Tab(socket)
        if declares:
            await socket.send_str(FLAGS)
        wanted = "feature_flags" if declares else "status"
        frames = await tab.until(lambda frame: frame["type"] == wanted)
        # behind everything that was put in its way by then, however slowly that leaves
        stage.services.hub.send(user, client_id, {"type": "marker", "data": {}})
        frames += (await tab.until(lambda frame: frame["type"] == "marker"))[:-1]
        with suppress(TimeoutError):
            while True:
                frames.append(await socket.receive_json(timeout=0.2))
    await stage.until(lambda: not stage.services.hub.hears(user, client_id))
    return frames


async def run_unheard(stage: Stage) -> Job:
    """A prompt that ends while nobody listens; returns when the gateway knows."""
    job = await stage.start(await stage.queue())
    await stage.settle(job)
    await known(stage)
    return job


async def known(stage: Stage) -> None:
    """Until the gateway has followed all events so far: a count reaches a socket."""
    async with stage.tab("marker", "marker") as marker:
        await stage.queue("marker", "marker")
        await marker.next()


async def test_it_hears_the_end_when_it_comes_back_once(stage: Stage) -> None:
    job = await run_unheard(stage)
    assert kinds(await greeted(stage, "bob")) == ["status"]
    assert kinds(await greeted(stage, "ann", "other")) == ["status"]
    frames = await greeted(stage)
    assert kinds(frames) == ["status", "execution_success", "executing"]
    assert frames[0]["data"]["sid"] == "tab"
    assert frames[-1]["data"] == {"node": None, "prompt_id": job.prompt_id}
    assert kinds(await greeted(stage)) == ["status"]


async def test_who_heard_it_does_not_hear_it_again(stage: Stage) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        await stage.agent.end(job)
        await stage.settle(job)
        await tab.until_idle()
    await stage.until(lambda: not stage.services.hub.sockets)
    assert kinds(await greeted(stage)) == ["status"]
    assert kinds(await greeted(stage, declares=True)) == ["status", "feature_flags"]


async def test_a_prompt_deleted_before_it_ran_has_no_end_to_miss(stage: Stage) -> None:
    job = await stage.queue()
    await stage.post("/queue", {"delete": [job.prompt_id]})
    await known(stage)
    assert kinds(await greeted(stage, declares=True)) == ["status", "feature_flags"]


async def test_where_another_gateway_may_have_told_it_only_frontends_are_told(
    stage: Stage,
) -> None:
    for gateway in ("one", "two"):
        await stage.ledger.announce_gateway(gateway, f"http://127.0.0.1:9/{gateway}", 60_000)
    pool = stage.services.agents
    async with asyncio.timeout(30):
        while len(pool.pool.gateways) < 2:
            await asyncio.sleep(0.05)
    await run_unheard(stage)
    assert kinds(await greeted(stage)) == ["status"]
    frames = await greeted(stage, declares=True)
    assert kinds(frames) == ["status", "feature_flags", "execution_success", "executing"]


async def test_a_gateway_that_has_just_come_tells_frontends_what_ended_before(
    stage: Stage,
) -> None:
    job = await stage.start(await stage.queue())
    await stage.following.stop()
    await stage.settle(job)
    stage.following = await events.start(stage.services)
    await known(stage)
    assert kinds(await greeted(stage)) == ["status"]
    frames = await greeted(stage, declares=True)
    assert kinds(frames) == ["status", "feature_flags", "execution_success", "executing"]


async def test_what_ended_is_told_before_what_runs(stage: Stage) -> None:
    await run_unheard(stage)
    async with stage.tab("ann", "elsewhere"):
        second = await stage.start(await stage.queue())
        said = {"node": "1", "prompt_id": second.prompt_id}
        await stage.agent.say(second, "executing", said)
        await stage.until(lambda: bool(stage.following._live.standing("ann", "tab")))
        frames = await greeted(stage)
    assert [frame["data"].get("node") for frame in frames if frame["type"] == "executing"] == [
        None,
        "1",
    ]
