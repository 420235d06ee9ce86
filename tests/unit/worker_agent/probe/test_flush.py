from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from worker_agent.probe.flush import MOST, Flush
from worker_agent.probe.ring import Ring


class Server:
    """ComfyUI's server: sockets by id, and a loop in a thread of its own."""

    def __init__(self) -> None:
        self.sockets: dict[str, Any] = {"agent": object()}
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    async def send(self, event: str, data: dict[str, Any], sid: str) -> None:
        await self.slow.wait()
        self.sent.append((event, data, sid))

    def settle(self) -> None:
        """Wait until what was handed to the loop has run."""
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(5)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def filled(count: int) -> Ring:
    ring = Ring("boot")
    add(ring, count)
    return ring


def add(ring: Ring, count: int) -> None:
    for _ in range(count):
        ring.add({"kind": "sample", "at": 1.0})


def seqs(frame: tuple[str, dict[str, Any], str]) -> list[int]:
    return [one["seq"] for one in frame[1]["records"]]


def test_records_after_a_subscription_go_to_that_socket_alone(server: Server) -> None:
    ring = filled(3)
    flush = Flush(ring, server)
    assert flush.subscribe("agent") == 3
    add(ring, 2)
    flush.push()
    server.settle()
    (frame,) = server.sent
    assert (frame[0], frame[2]) == ("vramgate", "agent")
    assert (frame[1]["boot"], frame[1]["first"]) == ("boot", 4)
    assert seqs(frame) == [4, 5]


def test_without_a_subscriber_or_without_records_nothing_is_sent(server: Server) -> None:
    ring = filled(1)
    flush = Flush(ring, server)
    flush.push()
    flush.subscribe("agent")
    flush.push()
    server.settle()
    assert server.sent == []


def test_while_the_socket_is_away_nothing_is_lost(server: Server) -> None:
    ring = filled(0)
    flush = Flush(ring, server)
    flush.subscribe("agent")
    del server.sockets["agent"]
    add(ring, 4)
    flush.push()
    server.sockets["agent"] = object()
    flush.push()
    server.settle()
    assert [seqs(frame) for frame in server.sent] == [[1, 2, 3, 4]]


def test_a_frame_has_at_most_so_many_records(server: Server) -> None:
    ring = filled(0)
    flush = Flush(ring, server)
    flush.subscribe("agent")
    add(ring, MOST + 10)
    assert flush.push() is True  # there is more
    server.settle()
    assert flush.push() is False
    server.settle()
    assert [len(seqs(frame)) for frame in server.sent] == [MOST, 10]


def test_frames_do_not_pile_up_before_a_slow_socket(server: Server) -> None:
    ring = filled(0)
    flush = Flush(ring, server)
    flush.subscribe("agent")
    server.slow.clear()
    add(ring, 1)
    flush.push()
    add(ring, 1)
    flush.push()
    server.loop.call_soon_threadsafe(server.slow.set)
    server.settle()
    assert [seqs(frame) for frame in server.sent] == [[1]]
    flush.push()
    server.settle()
    assert [seqs(frame) for frame in server.sent] == [[1], [2]]


def test_a_frame_that_fails_is_told_and_the_next_one_goes(server: Server) -> None:
    async def fail(event: str, data: dict[str, Any], sid: str) -> None:
        raise ValueError("no such event")

    ring = filled(0)
    flush = Flush(ring, server)
    flush.subscribe("agent")
    works = server.send
    server.send = fail  # type: ignore[method-assign]
    add(ring, 1)
    flush.push()
    server.settle()
    server.send = works  # type: ignore[method-assign]
    add(ring, 1)
    with pytest.raises(ValueError, match="no such event"):
        flush.push()
    flush.push()
    server.settle()
    assert [seqs(frame) for frame in server.sent] == [[2]]


def test_the_thread_sends_by_itself_and_at_once_when_many_wait(server: Server) -> None:
    ring = filled(0)
    flush = Flush(ring, server)
    flush.subscribe("agent")
    troubles: list[str] = []
    flush.start(lambda where, error: troubles.append(where))
    add(ring, MOST)
    flush.heard({"seq": ring.last})
    flush.stop()
    server.settle()
    assert [len(seqs(frame)) for frame in server.sent] == [MOST]
    assert troubles == []
