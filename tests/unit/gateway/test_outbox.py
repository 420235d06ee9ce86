"""The queue of one socket: in order, bounded, dropping only what is worthless."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import WSMsgType

from gateway.deflate import LEAST_BYTES, inflate
from gateway.outbox import Frame, Outbox


class Client:
    """A transport whose client reads only while it is told to."""

    def __init__(self, *, deflates: bool = False) -> None:
        self.deflates = deflates
        self.sent: list[bytes] = []
        self.packed: list[bytes] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.given_up = 0
        self.at_once: list[bytes] = []
        self.room = False

    def send_at_once(self, wire: bytes) -> bool:
        if self.room:
            self.at_once.append(wire)
        return self.room

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        await self.reading.wait()
        self.sent.append(message)

    async def send_deflated(self, packed: bytes) -> None:
        await self.reading.wait()
        self.packed.append(packed)

    def give_up(self) -> None:
        self.given_up += 1


@contextlib.asynccontextmanager
async def running(client: Client, **options: int) -> AsyncIterator[Outbox]:
    outbox = Outbox(client, client.give_up, **options)
    task = asyncio.create_task(outbox.run())
    yield outbox
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def preview(number: int, key: str = "p") -> Frame:
    return Frame(b"preview %d" % number, binary=True, key=("preview", key))


async def test_a_client_that_keeps_up_gets_every_frame_in_order() -> None:
    client = Client()
    async with running(client) as outbox:
        wanted = []
        for number in range(50):
            frame = preview(number) if number % 2 else Frame(b"life %d" % number)
            wanted.append(frame.body)
            outbox.put(frame)
            await settle()
    assert client.sent == wanted


async def test_a_burst_of_a_short_prompt_reaches_a_client_that_reads() -> None:
    client = Client()
    async with running(client) as outbox:
        for number in range(60):
            outbox.put(preview(number))
        await settle()
    assert client.sent == [b"preview %d" % number for number in range(60)]


async def test_a_slow_client_loses_old_previews_but_no_lifecycle_frame() -> None:
    client = Client()
    client.reading.clear()
    async with running(client) as outbox:
        for number in range(1000):
            outbox.put(preview(number))
            if number % 100 == 0:
                outbox.put(Frame(b"life %d" % number))
        assert outbox.waiting < 100
        client.reading.set()
        await settle()
    assert [body for body in client.sent if body.startswith(b"life")] == [
        b"life %d" % number for number in range(0, 1000, 100)
    ]
    assert client.sent[-1] == b"preview 999"
    assert len(client.sent) < 100


async def test_large_previews_are_dropped_long_before_their_number_tells() -> None:
    client = Client()
    client.reading.clear()
    async with running(client) as outbox:
        for number in range(50):
            body = b"%03d" % number + b"x" * 2**18
            outbox.put(Frame(body, binary=True, key="preview"))
        assert outbox.waiting <= 6
        client.reading.set()
        await settle()
    assert client.sent[-1].startswith(b"049")


async def test_what_is_newest_of_one_key_says_nothing_of_another() -> None:
    client = Client()
    client.reading.clear()
    async with running(client) as outbox:
        for number in range(100):
            outbox.put(preview(number, "a"))
            outbox.put(preview(number + 1000, "b"))
        client.reading.set()
        await settle()
    assert client.sent[-2:] == [b"preview 99", b"preview 1099"]


async def test_a_socket_too_far_behind_is_given_up_once() -> None:
    client = Client()
    client.reading.clear()
    async with running(client, limit_bytes=1000) as outbox:
        for _ in range(100):
            outbox.put(Frame(b"x" * 100))
        assert client.given_up == 1
        assert outbox.waiting == 0


async def test_one_frame_larger_than_the_limit_is_still_sent() -> None:
    client = Client()
    async with running(client, limit_bytes=10) as outbox:
        outbox.put(Frame(b"x" * 1000, binary=True))
        await settle()
    assert client.sent == [b"x" * 1000]
    assert client.given_up == 0


async def test_put_first_goes_ahead_of_all_that_waits() -> None:
    client = Client()
    outbox = Outbox(client, client.give_up)
    outbox.put(Frame(b"second"))
    outbox.put_first(Frame(b"first"))
    task = asyncio.create_task(outbox.run())
    await settle()
    task.cancel()
    assert client.sent == [b"first", b"second"]


async def test_a_client_that_is_gone_ends_the_loop() -> None:
    class Gone(Client):
        async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
            raise ConnectionResetError("gone")

    client = Gone()
    outbox = Outbox(client, client.give_up)
    outbox.put(Frame(b"x"))
    with pytest.raises(ConnectionResetError):
        await outbox.run()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def test_long_texts_are_deflated_once_for_all_sockets_that_can_inflate() -> None:
    text = b'{"type": "progress_state"}' * 1000
    frame = Frame(text)
    one, two, plain = Client(deflates=True), Client(deflates=True), Client()
    async with running(one) as first, running(two) as second, running(plain) as third:
        for outbox in (first, second, third):
            outbox.put(frame)
        await until(lambda: bool(one.packed and two.packed and plain.sent))
    assert one.packed[0] is two.packed[0]
    assert inflate(one.packed[0], 2**20) == text
    assert (one.sent, two.sent, plain.sent) == ([], [], [text])


async def test_short_texts_images_and_what_does_not_shrink_travel_as_they_are() -> None:
    client = Client(deflates=True)
    noise = random.Random(1).randbytes(LEAST_BYTES)
    frames = [
        Frame(b"x" * (LEAST_BYTES - 1)),
        Frame(b"x" * LEAST_BYTES, binary=True),
        Frame(noise),
    ]
    async with running(client) as outbox:
        for frame in frames:
            outbox.put(frame)
        await until(lambda: len(client.sent) == 3)
    assert client.sent == [frame.body for frame in frames]
    assert client.packed == []


async def test_very_long_texts_keep_their_place_among_the_others() -> None:
    client = Client(deflates=True)
    async with running(client) as outbox:
        outbox.put(Frame(b"a" * 2**18))
        outbox.put(Frame(b"b" * 2**13))
        outbox.put(Frame(b"c" * 2**18))
        await until(lambda: len(client.packed) == 3)
    assert [inflate(one, 2**20)[:1] for one in client.packed] == [b"a", b"b", b"c"]


async def test_a_frame_leaves_at_once_where_the_connection_has_room() -> None:
    client = Client()
    client.room = True
    async with running(client) as outbox:
        await settle()
        outbox.put(Frame(b"status"))
        outbox.put(Frame(b"x" * 300, binary=True))
        outbox.put(Frame(b"y" * 2**16))
        assert outbox.waiting == 0
    assert client.at_once == [
        b"\x81\x06status",
        b"\x82\x7e\x01\x2c" + b"x" * 300,
        b"\x81\x7f\0\0\0\0\0\x01\0\0" + b"y" * 2**16,
    ]
    assert client.sent == []


async def test_what_comes_before_the_loop_runs_waits_for_it() -> None:
    client = Client()
    client.room = True
    outbox = Outbox(client, client.give_up)
    outbox.put(Frame(b"joined"))
    outbox.put_first(Frame(b"first"))
    assert client.at_once == []
    task = asyncio.create_task(outbox.run())
    await settle()
    outbox.put(Frame(b"later"))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert client.sent == [b"first", b"joined"]
    assert client.at_once == [b"\x81\x05later"]


async def test_a_frame_never_overtakes_one_that_waits() -> None:
    client = Client()
    async with running(client) as outbox:
        await settle()
        client.reading.clear()
        outbox.put(Frame(b"one"))  # no room: it waits
        client.room = True
        outbox.put(Frame(b"two"))
        await settle()
        outbox.put(Frame(b"three"))
        assert client.at_once == []
        client.reading.set()
        await settle()
        outbox.put(Frame(b"four"))
    assert client.sent == [b"one", b"two", b"three"]
    assert client.at_once == [b"\x81\x04four"]


async def test_a_long_text_is_deflated_once_and_then_leaves_at_once() -> None:
    first, second = Client(deflates=True), Client(deflates=True)
    first.room = second.room = True
    frame = Frame(b'{"a": 1}' * LEAST_BYTES)
    async with running(first) as outbox, running(second) as other:
        await settle()
        outbox.put(frame)
        await settle()
        other.put(frame)
    assert [inflate(one, 2**20) for one in first.packed] == [frame.body]
    (wire,) = second.at_once
    assert wire[0] == 0xC1  # whole, deflated, text
    assert inflate(wire[4:], 2**20) == frame.body
