"""What is told at once, and what waits for the ledger."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from scheduler.live import LiveFrame, unpack_binary
from tests.pools import job
from worker_agent.follow import Follower
from worker_agent.frames import Binary, Frame, Message, Progress
from worker_agent.live import LiveHub
from worker_agent.services import Services
from worker_agent.teller import Teller
from worker_agent.tenancy import Names

NAMES = Names(user="ann", prompt_id="theirs", attempt_uuid="ours", client_id="tab", sid="sid")
EXECUTED = Message("executed", {"prompt_id": "ours", "output": {"images": [{"filename": "a.png"}]}})
STEP = Progress("progress", "ours", "3", 1.0, '{"prompt_id":"ours"}')


class Ledger:
    """Names files when it is let."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def name_files(self, *_: Any, **__: Any) -> list[Any]:
        await self.may.wait()
        return [SimpleNamespace(type="output", subfolder="", filename="b.png")]


class Outputs:
    async def take(self, *_: Any) -> dict[Any, Any]:
        return {}


class Stage:
    """A follower and its teller, as an attempt has them."""

    def __init__(self) -> None:
        self.ledger, self.hub = Ledger(), LiveHub(lambda: 0.0)
        services = cast(
            Services,
            SimpleNamespace(hub=self.hub, ledger=self.ledger, agent="host", clock=lambda: 0.0),
        )
        host = cast(Any, SimpleNamespace(life=1, link=SimpleNamespace(opened=1)))
        self.follower = Follower(services, host, "ours")
        outputs = cast(Any, Outputs())
        self.teller = Teller(services, job("j"), NAMES, {}, outputs, {}, lambda: False)
        self.follower.tell_now = self.teller.tell_now
        self.feed = self.hub.attach()
        self.hub.subscribe(self.feed, frozenset({"ann"}))

    def say(self, *frames: Frame) -> None:
        for frame in frames:
            self.follower.feed(frame)

    async def tell(self) -> None:
        frames = self.follower.frames
        while (frame := await frames.get()) is not None:
            self.follower.told(frame)
            await self.teller.tell(frame)

    async def wire(self) -> bytes:
        """The next binary frame."""
        async with asyncio.timeout(5):
            wire = await self.feed.get()
        assert isinstance(wire, bytes)
        return wire

    async def heard(self, count: int) -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                wire = await self.feed.get()
                assert wire is not None
                if isinstance(wire, bytes):
                    found.append(wire[-4:])
                else:
                    message = msgspec.json.decode(wire, type=LiveFrame).message
                    found.append(message and message["type"])
        return found


async def test_steps_and_previews_are_told_without_waiting_for_anybody() -> None:
    stage = Stage()
    stage.say(STEP, Binary(4, b"jpeg", image_type=1, metadata={"prompt_id": "ours"}))
    assert stage.follower.frames.empty()
    assert await stage.heard(2) == ["progress", b"jpeg"]


async def test_behind_a_file_that_waits_for_its_name_everything_keeps_its_place() -> None:
    stage = Stage()
    stage.say(EXECUTED, STEP)
    telling = asyncio.create_task(stage.tell())
    await asyncio.sleep(0.01)
    stage.say(Binary(1, b"jpeg", image_type=1), Message("executing", {"node": "4"}), STEP)
    assert stage.follower.frames.qsize() == 4
    stage.ledger.may.set()
    stage.say(STEP)
    told = ["executed", "progress", b"jpeg", "executing", "progress", "progress"]
    assert await stage.heard(6) == told
    telling.cancel()


async def test_steps_of_another_prompt_are_nobodys_business() -> None:
    stage = Stage()
    stage.say(Progress("progress", "another", "3", 1.0, "{}"), STEP)
    assert await stage.heard(1) == ["progress"]


async def test_metadata_that_a_pack_made_up_cannot_break_more_than_its_attempt() -> None:
    stage = Stage()
    stage.say(Binary(4, b"jpeg", metadata={"deep": [[]]}))
    assert stage.follower.frames.qsize() == 1


async def test_what_a_pack_says_in_a_way_of_its_own_is_told_as_it_was_said() -> None:
    stage = Stage()
    stage.say(Message("executing", {"node": "4", "prompt_id": "ours"}))
    telling = asyncio.create_task(stage.tell())
    assert await stage.heard(1) == ["executing"]
    telling.cancel()
    stage.say(Binary(3, b"seed:7"), Binary(4321, b"a bitmap"))
    heads = [unpack_binary(await stage.wire())[0] for _ in range(2)]
    assert [(head.event, head.node, head.lossless) for head in heads] == [
        (3, "", False),
        (4321, "4", True),
    ]


async def test_of_progress_without_a_node_each_reaches_a_gateway_that_is_behind() -> None:
    stage = Stage()
    bare = Progress("progress", None, None, 7.0, '{"value":7,"max":7}')
    for _ in range(100):
        stage.say(bare)
        stage.say(Binary(4321, b"result"))
    assert await stage.heard(200) == ["progress", b"sult"] * 100
