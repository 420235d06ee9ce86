"""Who hears what: users apart, sockets of one client id together, counts exact."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType

from gateway.frames import Layout, layout
from gateway.hub import ClientSocket, Hub
from gateway.outbox import Outbox
from scheduler.live import LiveHeader


class Clock:
    """``call_later`` under the test's control."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        self.due.append(callback)
        return Timer(self, callback)

    def pass_time(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


class Timer:
    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        self._clock, self._callback = clock, callback

    def cancel(self) -> None:
        with contextlib.suppress(ValueError):
            self._clock.due.remove(self._callback)


class Browser:
    """A socket that reads at once and remembers."""

    deflates = False

    def __init__(
        self, hub: Hub, user: str, client_id: str, *, layout: Layout | None = None
    ) -> None:
        self.bodies: list[bytes] = []
        outbox = Outbox(self, lambda: None)
        self.socket = ClientSocket(user, client_id, outbox, layout=layout)
        self._task = asyncio.create_task(outbox.run())
        self._hub = hub
        hub.join(self.socket)

    def send_at_once(self, wire: bytes) -> bool:
        return False

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        self.bodies.append(message)

    async def send_deflated(self, packed: bytes) -> None:
        raise AssertionError("this browser never said that it inflates")

    @property
    def messages(self) -> list[Any]:
        return [msgspec.json.decode(body) for body in self.bodies]

    @property
    def counts(self) -> list[int]:
        return [
            message["data"]["status"]["exec_info"]["queue_remaining"]
            for message in self.messages
            if message["type"] == "status"
        ]

    def go(self) -> None:
        self._hub.leave(self.socket)
        self._task.cancel()


@contextlib.asynccontextmanager
async def a_hub() -> AsyncIterator[tuple[Hub, Clock]]:
    clock = Clock()
    hub = Hub(later=clock.later)
    before = asyncio.all_tasks()
    yield hub, clock
    for task in asyncio.all_tasks() - before:
        task.cancel()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


MESSAGE = {"type": "executed", "data": {"node": "9", "prompt_id": "p"}}
JPEG = b"\xff\xd8\xff\xe0 jpeg"


def header(**changes: Any) -> LiveHeader:
    fields: dict[str, Any] = {
        "user": "ann",
        "job": "j",
        "attempt": 1,
        "event": 4,
        "client_id": "c",
        "image_type": 1,
        "node": "3",
        "metadata": {"node_id": "3", "prompt_id": "p", "image_type": "image/jpeg"},
    }
    return LiveHeader(**(fields | changes))


async def test_frames_of_one_user_reach_no_other_even_with_the_same_client_id() -> None:
    async with a_hub() as (hub, clock):
        ann, bob = Browser(hub, "ann", "c"), Browser(hub, "bob", "c")
        hub.send("ann", "c", MESSAGE)
        hub.send("ann", None, MESSAGE)
        hub.send_binary(header(), JPEG)
        hub.send_binary(header(client_id=None), JPEG)
        hub.send_binary(header(event=3, client_id=None), b"text")
        hub.status("ann", 3)
        hub.status_now("ann", 0)
        clock.pass_time()
        await settle()
        assert len(ann.bodies) == 6
        assert bob.bodies == []


async def test_every_socket_of_a_client_id_hears_and_one_leaving_silences_no_other() -> None:
    async with a_hub() as (hub, _):
        first, second = Browser(hub, "ann", "c"), Browser(hub, "ann", "c")
        hub.send("ann", "c", MESSAGE)
        await settle()
        first.go()
        hub.send("ann", "c", MESSAGE)
        await settle()
        assert first.messages == [MESSAGE]
        assert second.messages == [MESSAGE, MESSAGE]


async def test_a_job_without_client_id_is_heard_by_all_sockets_of_its_user_only() -> None:
    async with a_hub() as (hub, _):
        tab, other = Browser(hub, "ann", "c"), Browser(hub, "ann", "d")
        hub.send("ann", "d", MESSAGE)
        hub.send("ann", None, MESSAGE)
        await settle()
        assert len(tab.messages) == 1
        assert len(other.messages) == 2


async def test_a_burst_of_counts_becomes_one_frame_with_the_newest() -> None:
    async with a_hub() as (hub, clock):
        ann = Browser(hub, "ann", "c")
        for count in range(1, 21):
            hub.status("ann", count)
        await settle()
        assert ann.counts == []
        clock.pass_time()
        await settle()
        assert ann.counts == [20]


async def test_the_final_zero_is_told_at_once_and_nothing_older_follows_it() -> None:
    async with a_hub() as (hub, clock):
        ann = Browser(hub, "ann", "c")
        hub.status("ann", 1)
        hub.status("ann", 0)
        await settle()
        assert ann.counts == [0]
        clock.pass_time()
        await settle()
        assert ann.counts == [0]


async def test_a_count_is_seen_to_rise_before_it_falls_however_short_the_prompt() -> None:
    async with a_hub() as (hub, _):
        ann = Browser(hub, "ann", "c")
        for _prompt in range(2):
            hub.status("ann", 1)
            hub.show_risen("ann")
            hub.show_risen("ann")
            hub.status_now("ann", 0)
        await settle()
        assert ann.counts == [1, 0, 1, 0]


async def test_a_count_that_is_above_zero_is_not_told_again_before_it_falls() -> None:
    async with a_hub() as (hub, clock):
        ann = Browser(hub, "ann", "c")
        hub.status("ann", 2)
        clock.pass_time()
        hub.status("ann", 2)
        hub.show_risen("ann")
        hub.status_now("ann", 1)
        await settle()
        assert ann.counts == [2, 1]


async def test_previews_come_in_the_layout_that_each_socket_declared() -> None:
    async with a_hub() as (hub, _):
        new = Browser(hub, "ann", "c", layout=Layout(metadata=True))
        old = Browser(hub, "ann", "c")
        hub.send_binary(header(), JPEG)
        await settle()
        told = msgspec.json.encode(header().metadata)
        assert new.bodies == [b"\0\0\0\4" + len(told).to_bytes(4, "big") + told + JPEG]
        assert old.bodies == [b"\0\0\0\1\0\0\0\1" + JPEG]


async def test_a_lossless_result_is_event_1_for_everybody() -> None:
    async with a_hub() as (hub, _):
        new, old = Browser(hub, "ann", "c", layout=Layout(metadata=True)), Browser(hub, "ann", "c")
        png = b"\x89PNG result"
        hub.send_binary(header(event=1, image_type=2, metadata=None, lossless=True), png)
        await settle()
        assert new.bodies == old.bodies == [b"\0\0\0\1\0\0\0\2" + png]


async def test_progress_text_names_its_node() -> None:
    async with a_hub() as (hub, _):
        ann = Browser(hub, "ann", "c")
        hub.send_binary(header(event=3, node="1", metadata=None), b"slept 0.3")
        await settle()
        assert ann.bodies == [bytes.fromhex("000000030000000131736c65707420302e33")]


async def test_progress_text_names_its_prompt_to_clients_that_asked_for_that() -> None:
    async with a_hub() as (hub, _):
        new = Browser(hub, "ann", "c", layout=Layout(text_prompts=True))
        old = Browser(hub, "ann", "c", layout=Layout(metadata=True))
        hub.send_binary(header(event=3, node="12", prompt_id="p-1", metadata=None), b"text")
        await settle()
        assert new.bodies == [b"\0\0\0\3\0\0\0\3p-1\0\0\0\x0212text"]
        assert old.bodies == [b"\0\0\0\3\0\0\0\x0212text"]


def test_flags_that_are_unknown_or_not_exactly_true_change_no_layout() -> None:
    assert layout({"supports_manager_v4_ui": True, "x": {"y": 1}}) == Layout()
    assert layout({"supports_preview_metadata": "yes"}) == Layout()
    assert layout({"supports_preview_metadata": 1}) == Layout()
    assert layout(
        {"supports_preview_metadata": True, "supports_progress_text_metadata": True}
    ) == Layout(metadata=True, text_prompts=True)


async def test_results_survive_a_slow_client_that_loses_previews() -> None:
    async with a_hub() as (hub, _):
        outbox = Outbox(Browser(hub, "bob", "x"), lambda: None)
        hub.join(ClientSocket("ann", "c", outbox))  # nobody runs it: the client reads nothing
        for number in range(200):
            hub.send_binary(header(), b"%d" % number)
            if number % 50 == 0:
                hub.send_binary(header(event=1, metadata=None, lossless=True), b"result")
        assert 4 + 1 <= outbox.waiting <= 4 + 65


async def test_listeners_hear_when_a_user_comes_or_goes_not_for_each_socket() -> None:
    async with a_hub() as (hub, _):
        seen: list[frozenset[str]] = []
        hub.on_users_change(lambda: seen.append(hub.users))
        first, second = Browser(hub, "ann", "a"), Browser(hub, "ann", "b")
        first.go()
        first.go()
        second.go()
        assert seen == [{"ann"}, set()]


async def test_a_socket_that_comes_is_told_where_its_jobs_stand() -> None:
    async with a_hub() as (hub, _):
        hub.on_join(lambda user, client_id: [("j", {"type": "executing", "data": {"u": user}})])
        ann = Browser(hub, "ann", "c")
        await settle()
        assert ann.messages == [{"type": "executing", "data": {"u": "ann"}}]


async def test_a_packs_own_events_pass_as_they_are() -> None:
    async with a_hub() as (hub, _):
        new = Browser(hub, "ann", "c", layout=Layout(metadata=True, text_prompts=False))
        old = Browser(hub, "ann", "c")
        hub.send_binary(header(event=4321, image_type=0, metadata=None, lossless=True), b"BM")
        hub.send_binary(header(event=3, image_type=0, node="", metadata=None), b"seed:7")
        await settle()
        told = [b"\0\0\x10\xe1BM", b"\0\0\0\3\0\0\0\0seed:7"]
        assert new.bodies == old.bodies == told


async def test_progress_that_says_what_comes_next_is_never_dropped() -> None:
    async with a_hub() as (hub, _):
        outbox = Outbox(Browser(hub, "bob", "x"), lambda: None)
        hub.join(ClientSocket("ann", "c", outbox))  # nobody runs it: the client reads nothing
        for _ in range(100):
            hub.send("ann", "c", {"type": "progress", "data": {"value": 7, "max": 7}}, "j")
            hub.send_binary(header(event=1, metadata=None, lossless=True), b"result")
        assert outbox.waiting == 200
