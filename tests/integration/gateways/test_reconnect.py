"""A client that comes back to another gateway finds everything as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.integration.gateway_prompt.stage import Tab, is_executing_nothing, kinds, remaining
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
        assert remaining(await tab.next()) == 2
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
    async with young.tab() as tab:
        asked = asyncio.create_task(tab.next())
        await asyncio.sleep(0.1)
        assert not asked.done()  # it would count a job whose end nobody hears yet
        slow[0].go.set()
        assert remaining(await asked) == 1
        await pool.settle(job)
        assert kinds(await tab.until(is_executing_nothing))[-1] == "executing"
