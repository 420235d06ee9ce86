from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from scheduler.live import LiveFrame, LiveHeader, unpack_binary
from worker_agent.live import Feed, LiveHub


def frame(type_: str, user: str = "ann", job: str = "j", **data: Any) -> LiveFrame:
    return LiveFrame(user=user, job=job, attempt=1, message={"type": type_, "data": data})


def image(job: str = "j", *, lossless: bool = False) -> LiveHeader:
    return LiveHeader(user="ann", job=job, attempt=1, event=4, image_type=1, lossless=lossless)


async def drain(feed: Feed) -> list[Any]:
    """What waits, short: data of messages, payloads of images."""
    found: list[Any] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while (wire := await feed.get()) is not None:
                if isinstance(wire, bytes):
                    found.append(bytes(unpack_binary(wire)[1]))
                else:
                    found.append(msgspec.json.decode(wire, type=LiveFrame))
    return found


def types(frames: list[Any]) -> list[str]:
    return [row.message["type"] for row in frames if isinstance(row, LiveFrame) and row.message]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> LiveHub:
    return LiveHub(clock)


async def test_of_previews_and_states_a_slow_gateway_gets_the_newest(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    for step in range(500):
        hub.publish(frame("progress_state", value=step))
        hub.publish_binary(image(), b"%d" % step)
    got = await drain(feed)
    assert len(got) <= 66
    states = [row.message["data"]["value"] for row in got if isinstance(row, LiveFrame)]
    assert (states[-2] < 40, states[-1]) == (True, 499)
    assert [row for row in got if isinstance(row, bytes)][-1] == b"499"


async def test_a_burst_reaches_a_gateway_whole(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    for step in range(20):
        hub.publish(frame("progress", value=step))
    got = await drain(feed)
    values = [row.message["data"]["value"] for row in got if isinstance(row, LiveFrame)]
    assert values == list(range(20))


async def test_previews_of_different_jobs_do_not_replace_each_other(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    hub.publish_binary(image("a"), b"a")
    hub.publish_binary(image("b"), b"b")
    assert await drain(feed) == [b"a", b"b"]


async def test_lifecycle_text_and_results_all_arrive_in_order(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    for node in range(20):
        hub.publish(frame("executing", node=str(node)))
        hub.publish_binary(image(lossless=True), b"%d" % node)
    text = LiveHeader(user="ann", job="j", attempt=1, event=3, node="1")
    hub.publish_binary(text, b"one")
    hub.publish_binary(text, b"two")
    got = await drain(feed)
    nodes = [row.message["data"]["node"] for row in got if isinstance(row, LiveFrame)]
    assert nodes == [str(node) for node in range(20)]
    assert [row for row in got if isinstance(row, bytes)][-2:] == [b"one", b"two"]
    assert len(got) == 42


async def test_progress_that_nobody_watched_is_told_to_newcomers_the_newest_only(
    hub: LiveHub,
) -> None:
    said = LiveFrame(user="ann", job="j", attempt=1, client_id='odd "tab')
    for step in range(3):
        hub.publish_progress(said, "progress_state", f'{{"value": {step}}}')
        hub.publish_progress(said, "progress", f'{{"value": {step}}}')
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    (again,) = await drain(feed)
    message = {"type": "progress_state", "data": {"value": 2}}
    assert again == msgspec.structs.replace(said, message=message, replay=True)


async def test_who_only_glances_hears_where_a_job_stands_and_no_single_steps(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset(), frozenset({"ann"}))
    said = LiveFrame(user="ann", job="j", attempt=1)
    for type_ in ("progress_state", "progress"):
        hub.publish_progress(said, type_, "{}")
    assert types(await drain(feed)) == ["progress_state"]


async def test_a_gateway_that_lags_too_far_is_disconnected_and_harms_nobody() -> None:
    hub = LiveHub(lambda: 0.0, limit_bytes=1000)
    slow, fast = hub.attach(), hub.attach()
    for feed in (slow, fast):
        hub.subscribe(feed, frozenset({"ann"}))
    for _ in range(30):
        hub.publish(frame("executed", x="y" * 50))
        assert await fast.get() is not None
    assert slow.closed
    assert await slow.get() is None
    assert not fast.closed


async def test_only_subscribed_users_are_heard(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.publish(frame("executing", node="1"))
    hub.subscribe(feed, frozenset({"bob"}))
    hub.publish(frame("executing", node="2"))
    assert await drain(feed) == []
    hub.publish(frame("executing", user="bob", job="k", node="3"))
    assert types(await drain(feed)) == ["executing"]


async def test_a_new_subscriber_is_told_where_running_jobs_stand_once(hub: LiveHub) -> None:
    hub.publish(frame("execution_start"))
    hub.publish(frame("executing", node="1"))
    hub.publish(frame("progress_state", value=3))
    hub.publish(frame("executed", node="1"))
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    hub.subscribe(feed, frozenset({"ann", "bob"}))
    got = await drain(feed)
    assert types(got) == ["executing", "execution_start", "executed", "progress_state"]
    assert all(row.replay for row in got)


async def test_who_only_glances_is_told_where_jobs_stand_and_nothing_else(hub: LiveHub) -> None:
    hub.publish(frame("execution_start"))
    hub.publish(frame("executed", node="1"))
    feed = hub.attach()
    hub.subscribe(feed, frozenset(), frozenset({"ann"}))
    hub.publish(frame("executing", node="2"))
    hub.publish(frame("executed", node="2"))
    hub.publish(frame("progress_state", value=3))
    hub.publish_binary(image(), b"a picture")
    hub.publish_binary(image(lossless=True), b"a result")
    hub.end(LiveFrame(user="ann", job="j", attempt=1, end=True))
    got = await drain(feed)
    assert types(got) == ["execution_start", "executing", "progress_state"]
    assert got[-1].end


async def test_who_glanced_and_subscribes_is_told_what_it_has_missed(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset(), frozenset({"ann"}))
    hub.publish(frame("executing", node="1"))
    hub.publish(frame("executed", node="1"))
    await drain(feed)
    hub.subscribe(feed, frozenset({"ann"}), frozenset({"ann"}))
    assert types(await drain(feed)) == ["executing", "executed"]


def ended(hub: LiveHub) -> None:
    hub.publish(frame("executing", node="1"))
    hub.publish(frame("executed", node="1"))
    hub.end(LiveFrame(user="ann", job="j", attempt=1, end=True))


async def newcomer(hub: LiveHub) -> list[Any]:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    return await drain(feed)


async def test_a_gateway_that_lags_is_told_of_a_job_that_has_just_ended(
    hub: LiveHub, clock: Clock
) -> None:
    ended(hub)
    hub.forget("j", 1)
    clock.now = 4.9
    got = await newcomer(hub)
    assert types(got) == ["executing", "executed"]
    assert [row.end for row in got] == [False, False, True]


async def test_an_ended_job_is_soon_no_longer_repeated(hub: LiveHub, clock: Clock) -> None:
    ended(hub)
    hub.forget("j", 1)
    clock.now = 5.0
    assert await newcomer(hub) == []


async def test_an_attempt_that_broke_is_not_repeated(hub: LiveHub) -> None:
    hub.publish(frame("executing", node="1"))
    hub.forget("j", 1)
    assert await newcomer(hub) == []


async def test_of_results_the_newest_are_repeated_as_far_as_there_is_room(hub: LiveHub) -> None:
    for node in range(40):
        hub.publish(frame("executed", node=str(node), text="x" * 2**16))
    nodes = [row.message["data"]["node"] for row in await newcomer(hub)]
    assert nodes == [str(node) for node in range(25, 40)]


async def test_a_lone_surrogate_does_not_stop_the_stream(hub: LiveHub) -> None:
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    hub.publish(frame("x", text="\ud800"))
    wire = await feed.get()
    assert isinstance(wire, str)
    assert "\\ud800" in wire


async def test_a_forgotten_attempt_is_not_told_to_newcomers_its_successor_is(hub: LiveHub) -> None:
    hub.publish(frame("executing", node="old"))
    hub.publish(msgspec.structs.replace(frame("executing", node="new"), attempt=2))
    hub.forget("j", 1)
    feed = hub.attach()
    hub.subscribe(feed, frozenset({"ann"}))
    assert [row.message["data"]["node"] for row in await drain(feed)] == ["new"]
