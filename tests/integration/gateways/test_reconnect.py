"""A client that comes back to another gateway finds everything as it was."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from scheduler.ledger import Event
from tests.integration.gateway_prompt.stage import (
    Tab,
    graph,
    is_executing_nothing,
    kinds,
    remaining,
)
from tests.integration.gateways.conftest import Pool, Replica, Start, post

Pair = tuple[Replica, Replica]
JPEG = b"\xff\xd8\xff\xe0 jpeg"


async def first(tab: Tab, count: int) -> list[Any]:
    """The first frames of a socket."""
    return [await tab.next() for _ in range(count)]


def all_of(*types: str) -> Callable[[Any], bool]:
    """Whether each of these has come by now."""
    missing = set(types)

    def came(frame: Any) -> bool:
        missing.discard(frame["type"])
        return not missing

    return came


async def test_the_first_frame_tells_the_count_whoever_took_the_prompts(pair: Pair) -> None:
    await post(pair[0])
    await post(pair[1])
    for replica in pair:
        async with replica.tab("me") as tab:
            frame = await tab.next()
        assert frame["data"] == {"status": {"exec_info": {"queue_remaining": 2}}, "sid": "me"}


async def test_node_progress_and_previews_go_on_at_each_gateway(pair: Pair, pool: Pool) -> None:
    job = await pool.start(await post(pair[0]))
    pool.say(job, "execution_start")
    pool.say(job, "executing", node="2")
    state = {"2": {"value": 1, "max": 4}}
    pool.say(job, "progress_state", nodes=state)
    for replica in (*pair, *pair):
        async with replica.tab(previews=True) as tab:
            seen = await tab.until(all_of("feature_flags", "executing", "progress_state"))
            assert seen[0]["type"] == "status"
            (progress,) = [one for one in seen if one["type"] == "progress_state"]
            assert progress["data"]["nodes"] == state
            pool.show(job, JPEG)
            preview = (await tab.until(lambda frame: isinstance(frame, bytes)))[-1]
            assert preview[:4] == (4).to_bytes(4, "big")
            assert preview.endswith(JPEG)


async def test_an_end_is_shown_once_at_each_gateway(pair: Pair, pool: Pool) -> None:
    job = await pool.start(await post(pair[0]))
    async with pair[0].tab() as one, pair[1].tab() as other:
        await first(one, 1)
        await first(other, 1)
        await pool.settle(job)
        for tab in (one, other):
            frames = await tab.until(is_executing_nothing)
            assert kinds(frames)[-3:] == ["execution_success", "status", "executing"]
            assert remaining(frames[-2]) == 0
            assert await tab.silent()


async def test_what_is_asked_of_either_is_answered_alike(pair: Pair, pool: Pool) -> None:
    done, running, _ = [await post(pair[n % 2]) for n in range(3)]
    await pool.settle(await pool.start(done))
    await pool.start(running)
    for path in ("/queue", "/history", f"/history/{done}", "/prompt", "/api/jobs", "/object_info"):
        assert await pair[0].get(path) == await pair[1].get(path), path


async def test_what_is_deleted_at_one_is_gone_at_the_other(pair: Pair, pool: Pool) -> None:
    done = [await post(pair[0]) for _ in range(3)]
    for prompt_id in done:
        await pool.settle(await pool.start(prompt_id))
    for body, left in (({"delete": done[:1]}, done[1:]), ({"clear": True}, [])):
        for replica in pair:
            assert set(done[1:]) <= set(await replica.get("/history"))
        await pair[0].post("/history", body)
        for replica in pair:
            assert list(await replica.get("/history")) == left
            listed = await replica.get("/api/jobs?sort_order=asc")
            assert [job["id"] for job in listed["jobs"]] == left


async def test_a_prompt_is_stopped_through_the_other_gateway(pair: Pair, pool: Pool) -> None:
    running, waiting, last = [await post(pair[0]) for _ in range(3)]
    await pool.start(running)
    async with pair[0].tab() as tab:
        assert remaining(await tab.next()) == 3
        await pair[1].post("/queue", {"delete": [waiting]})
        # that one runs may be told only now, with the count as it was
        await tab.until(lambda frame: frame["type"] == "status" and remaining(frame) == 2)
        await pair[1].post("/interrupt", {"prompt_id": running})
        await pair[1].post(f"/api/jobs/{last}/cancel", {})
        await tab.until(lambda frame: frame["type"] == "status" and remaining(frame) == 1)
    queue = await pair[0].get("/queue")
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert queue["queue_pending"] == []


async def test_a_repeated_post_is_known_at_the_other_gateway(pair: Pair) -> None:
    key = {"idempotency_key": "once"}
    ids = await asyncio.gather(*(post(pair[n % 2], extra_data={"vramgate": key}) for n in range(6)))
    assert len(set(ids)) == 1
    assert (await pair[0].get("/prompt"))["exec_info"]["queue_remaining"] == 1


async def test_numbers_and_chosen_ids_are_common(pair: Pair) -> None:
    for n in range(4):
        await post(pair[n % 2])
    queue = (await pair[0].get("/queue"))["queue_pending"]
    assert len({item[0] for item in queue}) == 4
    await post(pair[0], prompt_id="mine")
    status, body = await pair[1].call("POST", "/prompt", json={"prompt": {}, "prompt_id": "mine"})
    assert status == 400, body


class Slow:
    """A ledger that says where its stream stands only when it is told to."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def last_event_id(self) -> str:
        await self.go.wait()
        cursor: str = await self._ledger.last_event_id()
        return cursor


async def test_a_gateway_that_has_only_begun_misses_no_end(
    pair: Pair, pool: Pool, start: Start
) -> None:
    slow: list[Slow] = []

    def slowed(ledger: Any) -> Slow:
        slow.append(Slow(ledger))
        return slow[0]

    young = await start(wrap=slowed)
    job = await pool.start(await post(pair[0]))
    async with AsyncExitStack() as open_tabs:
        opening = asyncio.create_task(open_tabs.enter_async_context(young.tab()))
        await asyncio.sleep(0.1)
        assert not opening.done()  # it would count a job whose end nobody hears yet
        slow[0].go.set()
        tab = await opening
        assert remaining(await tab.next()) == 1
        await pool.settle(job)
        assert kinds(await tab.until(is_executing_nothing))[-1] == "executing"


class Lagging:
    """A ledger whose stream stands still on demand."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.go = asyncio.Event()
        self.go.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def events(self, after: str, block_ms: int) -> list[Event]:
        found: list[Event] = await self._ledger.events(after, min(block_ms, 20))
        await self.go.wait()
        return found


async def lagging_pair(start: Start) -> tuple[Replica, Replica, Lagging]:
    """Two gateways that know of each other, and what holds up the second."""
    made: list[Lagging] = []

    def wrap(ledger: Any) -> Lagging:
        made.append(Lagging(ledger))
        return made[0]

    quick, slow = await start(), await start(wrap=wrap)
    async with asyncio.timeout(30):
        while len(slow.services.agents.pool.gateways) < 2:
            await asyncio.sleep(0.02)
            await slow.services.agents.refresh()
    return quick, slow, made[0]


async def test_an_end_that_was_heard_elsewhere_is_not_told_again_by_a_gateway_that_lags(
    start: Start, pool: Pool
) -> None:
    quick, slow, lag = await lagging_pair(start)
    async with quick.tab() as tab, slow.tab("other tab"):
        job = await pool.start(await post(quick))
        pool.say(job, "executing", node="2")
        lag.go.clear()
        await pool.settle(job)
        await tab.until(is_executing_nothing)
        async with AsyncExitStack() as open_tabs:
            opening = asyncio.create_task(open_tabs.enter_async_context(slow.tab()))
            await asyncio.sleep(0.1)
            assert not opening.done()
            lag.go.set()
            again = await opening
            assert remaining(await again.next()) == 0
            following = await post(quick)
            frames = await again.until(lambda frame: remaining(frame) == 1)
            assert job.prompt_id not in json.dumps(frames)
            await pool.settle(await pool.start(following))
            frames = await again.until(is_executing_nothing)
            assert frames[-1]["data"]["prompt_id"] == following


async def test_an_end_that_a_new_gateway_told_is_not_told_again_by_one_that_does_not_know_it_yet(
    start: Start, pool: Pool
) -> None:
    old = await start()
    async with old.tab("other tab"):
        new = await start()
        async with new.tab() as tab:
            job = await pool.start(await post(new))
            await pool.settle(job)
            await tab.until(is_executing_nothing)
        async with old.tab() as tab:
            assert remaining(await tab.next()) == 0
            assert await tab.silent()


async def test_a_socket_that_is_claimed_late_is_told_all_of_a_prompt_that_is_over_by_then(
    start: Start, pool: Pool
) -> None:
    """The socket waits for its user at one gateway, the prompt is posted at the other."""
    quick, slow, lag = await lagging_pair(start)
    mine = uuid.uuid4().hex
    url = "/k/url-of-ann-01"
    assert (await quick.call("GET", f"{url}/queue", who={}))[0] == 200
    async with slow.tab(mine, who={}) as tab:
        await tab.next()
        lag.go.clear()
        body = {"prompt": graph(), "client_id": mine}
        posted = await quick.post(f"{url}/prompt", body, who={})
        job = await pool.start(posted["prompt_id"])
        pool.say(job, "execution_start")
        pool.say(job, "executing", node="2")
        pool.say(job, "executed", node="2", output={})
        await pool.settle(job)
        pool.hub.forget(job.id, job.attempt)
        lag.go.set()
        frames = await tab.until(is_executing_nothing)
    told = [kind for kind in kinds(frames) if kind not in ("status", "progress_text")]
    assert sorted(told[:3]) == ["executed", "executing", "execution_start"]
    assert told[3:] == ["execution_success", "executing"]
