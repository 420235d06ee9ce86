"""Where running jobs stand, and frames that come too late to be shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from gateway.hub import ClientSocket, Hub
from gateway.live import LiveFeeds
from gateway.outbox import Outbox
from gateway.standings import Standings
from scheduler.ledger import Pool
from scheduler.live import LiveFrame, LiveHeader, pack_binary


class NoAgents:
    """A pool without agents; frames are handed in by the test."""

    pool = Pool(now_ms=0)
    headers: Mapping[str, str] = {}

    @property
    def session(self) -> aiohttp.ClientSession:
        raise AssertionError("nobody to connect to")


class Silent:
    deflates = False

    def send_at_once(self, wire: bytes) -> bool:
        raise AssertionError("nobody runs this outbox")

    async def send_frame(self, message: bytes, opcode: aiohttp.WSMsgType) -> None:
        raise AssertionError("nobody runs this outbox")

    async def send_deflated(self, packed: bytes) -> None:
        raise AssertionError("nobody runs this outbox")


def a_watched_user() -> tuple[Hub, LiveFeeds, ClientSocket]:
    hub = Hub()
    feeds = LiveFeeds(hub, NoAgents(), Standings(lambda: 1.0))
    socket = ClientSocket("ann", "c", Outbox(Silent(), lambda: None))
    hub.join(socket)
    return hub, feeds, socket


def say(feeds: LiveFeeds, type_: str = "executing", **changes: Any) -> None:
    data = changes.pop("data", {"node": "1", "prompt_id": "p"})
    fields: dict[str, Any] = {"user": "ann", "job": "j", "attempt": 1, "client_id": "c"}
    frame = LiveFrame(**(fields | {"message": {"type": type_, "data": data}} | changes))
    feeds.take_text("host", msgspec.json.encode(frame).decode())


async def test_standing_is_told_only_to_the_jobs_own_user_and_client() -> None:
    _, feeds, _ = a_watched_user()
    say(feeds)
    assert [job for job, _ in feeds.standing("ann", "c")] == ["j"]
    assert feeds.standing("ann", "other") == []
    assert feeds.standing("bob", "c") == []


async def test_who_comes_in_the_middle_is_told_node_start_results_and_progress_in_this_order() -> (
    None
):
    _, feeds, _ = a_watched_user()
    for type_ in ("execution_start", "executing", "progress_state", "executed"):
        say(feeds, type_)
    told = [message["type"] for _, message in feeds.standing("ann", "c")]
    assert told == ["executing", "execution_start", "executed", "progress_state"]


async def test_a_step_of_a_job_that_is_not_known_is_no_standing_and_a_repeated_one_is() -> None:
    """It was on its way when its user's last socket left."""
    _, feeds, socket = a_watched_user()
    for type_ in ("progress", "progress_state"):
        say(feeds, type_)
    assert feeds.standing("ann", "c") == []
    # nor is it shown before the node that it belongs to
    assert socket.outbox.waiting == 0
    for type_ in ("executing", "execution_start", "progress_state"):
        say(feeds, type_, replay=True)
    say(feeds, "progress")
    told = [message["type"] for _, message in feeds.standing("ann", "c")]
    assert told == ["executing", "execution_start", "progress_state"]


async def test_a_repeated_result_is_shown_only_where_it_was_not_known() -> None:
    _, feeds, socket = a_watched_user()
    say(feeds, "executed", data={"node": "1"})
    say(feeds, "executed", data={"node": "1"}, replay=True)
    say(feeds, "executed", data={"node": "2"}, replay=True)
    assert socket.outbox.waiting == 2
    assert [message["data"]["node"] for _, message in feeds.standing("ann", "c")] == ["1", "2"]


async def test_of_very_many_results_the_newest_are_kept() -> None:
    _, feeds, _ = a_watched_user()
    for node in range(300):
        say(feeds, "executed", data={"node": node})
    told = [message["data"]["node"] for _, message in feeds.standing("ann", "c")]
    assert told == list(range(44, 300))


async def test_who_comes_between_the_last_frame_and_the_end_is_told_both() -> None:
    _, feeds, _ = a_watched_user()
    say(feeds, "executed")
    say(feeds, message=None, end=True)
    assert [message["type"] for _, message in feeds.standing("ann", "c")] == ["executed"]
    feeds.close("j", 1)
    assert feeds.standing("ann", "c") == []


async def test_a_repeated_start_is_shown_only_where_it_was_not_known() -> None:
    _, feeds, socket = a_watched_user()
    say(feeds, "execution_start", replay=True)
    say(feeds, "execution_start", replay=True)
    assert socket.outbox.waiting == 1


async def test_a_job_without_client_id_stands_for_all_of_its_users_clients() -> None:
    _, feeds, _ = a_watched_user()
    say(feeds, client_id=None)
    assert len(feeds.standing("ann", "any")) == 1
    assert feeds.standing("bob", "any") == []


async def test_frames_after_the_end_or_of_an_earlier_attempt_are_dropped() -> None:
    _, feeds, socket = a_watched_user()
    say(feeds, attempt=2)
    say(feeds, attempt=1)
    say(feeds, attempt=2, message=None, end=True)
    say(feeds, attempt=2)
    header = LiveHeader(user="ann", job="j", attempt=2, event=1, client_id="c")
    feeds.take_binary("host", pack_binary(header, b"late"))
    assert socket.outbox.waiting == 1


async def test_who_comes_back_before_the_agent_was_told_still_hears_where_the_job_stands() -> None:
    hub, feeds, socket = a_watched_user()
    say(feeds)
    hub.leave(socket)
    hub.join(ClientSocket("ann", "c", Outbox(Silent(), lambda: None)))
    assert feeds.wanted("host") == {"subscribe": ["ann"], "glance": []}
    assert [job for job, _ in feeds.standing("ann", "c")] == ["j"]


async def test_what_was_known_of_a_user_without_sockets_is_forgotten() -> None:
    hub, feeds, socket = a_watched_user()
    say(feeds)
    hub.leave(socket)
    assert feeds.wanted("host") == {"subscribe": [], "glance": []}
    assert feeds.standing("ann", "c") == []


async def test_unreadable_frames_are_left_out_and_the_feed_goes_on() -> None:
    _, feeds, socket = a_watched_user()
    for text in ("", "[]", "{", '{"user": 1}'):
        feeds.take_text("host", text)
    for body in (b"", b"\0\0\0\xff", b"\0\0\0\2{}", b"\xff\xff\xff\xff"):
        feeds.take_binary("host", body)
    say(feeds)
    assert socket.outbox.waiting == 1


async def test_nobody_waits_for_an_end_that_cannot_come() -> None:
    _, feeds, _ = a_watched_user()
    async with asyncio.timeout(1):
        await feeds.ended("host", "j", 1, timeout_s=60)


class Up:
    """A feed whose agent is there."""

    connected = True


async def test_a_gateway_that_stood_still_itself_reads_what_came_before_it_gives_up() -> None:
    _, feeds, _ = a_watched_user()
    feeds._feeds["host"] = Up()  # type: ignore[assignment]
    waiting = asyncio.create_task(feeds.ended("host", "j", 1, timeout_s=0.5))
    await asyncio.sleep(0)
    time.sleep(1)  # noqa: ASYNC251  (the whole process stands still)
    for _ in range(5):  # it takes some turns to read what an agent has said
        await asyncio.sleep(0)
    assert not waiting.done()
    say(feeds, message=None, end=True)
    await waiting
