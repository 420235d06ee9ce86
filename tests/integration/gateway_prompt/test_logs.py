"""``/internal/logs`` and its frames: a user's own events, and nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scheduler.ledger import Ending
from scheduler.states import WaitReason
from tests.integration.gateway_prompt.stage import Stage, Tab, kinds


async def subscribe(
    stage: Stage, user: str = "ann", client_id: str = "tab", *, enabled: bool = True
) -> None:
    body = {"clientId": client_id, "enabled": enabled}
    answer = await stage.call("PATCH", "/internal/logs/subscribe", user, json=body)
    assert answer == (200, None)


async def run_one(stage: Stage, user: str = "ann", ending: Ending = Ending.SUCCEEDED) -> str:
    job = await stage.start(await stage.queue(user))
    await stage.agent.end(job)
    closing = "execution_success" if ending is Ending.SUCCEEDED else "execution_error"
    await stage.settle(job, ending, closing)
    return job.prompt_id


async def lines(tab: Tab, count: int) -> list[str]:
    """The next so many lines of the log."""
    found: list[str] = []
    while len(found) < count:
        frame: Any = await tab.next()
        if frame["type"] == "logs":
            assert frame["data"]["size"] is None
            found += [entry["m"] for entry in frame["data"]["entries"]]
    return found


async def test_everybody_reads_the_own_prompts_alone(stage: Stage) -> None:
    anns, bobs = await run_one(stage, "ann"), await run_one(stage, "bob", Ending.FAILED)
    text, raw = await stage.get("/internal/logs", "ann"), await stage.get("/internal/logs/raw")
    assert [line.split("] ")[1] for line in text.splitlines()] == [
        f"prompt {anns} queued",
        f"prompt {anns} started on GPU 0 of host",
        text.splitlines()[-1].split("] ")[1],
    ]
    assert f"prompt {anns} done after" in text
    assert bobs not in text
    assert "".join(entry["t"] + " - " + entry["m"] for entry in raw["entries"]) == text
    theirs = await stage.get("/internal/logs", "bob")
    assert f"prompt {bobs} failed" in theirs
    assert anns not in theirs
    assert await stage.get("/internal/logs", "eve") == ""


async def test_a_prompts_words_are_not_in_the_log(stage: Stage) -> None:
    await stage.queue(extra_data={"extra_pnginfo": {"workflow": {"text": "a secret castle"}}})
    assert "castle" not in await stage.get("/internal/logs")


async def test_who_subscribes_reads_lines_as_they_happen_until_no_longer(stage: Stage) -> None:
    async with stage.tab() as tab, stage.tab("bob") as bobs:
        await subscribe(stage)
        id_ = await run_one(stage)
        seen = await lines(tab, 3)
        assert [line.partition("] ")[2].split(" after ")[0] for line in seen] == [
            f"prompt {id_} queued\n",
            f"prompt {id_} started on GPU 0 of host\n",
            f"prompt {id_} done",
        ]
        assert await bobs.silent()
        await subscribe(stage, enabled=False)
        await run_one(stage)
        assert "logs" not in kinds(await tab.until_idle())


async def test_why_a_prompt_waits_is_a_line_once_for_each_reason(stage: Stage) -> None:
    async with stage.tab(previews=True) as tab:
        await subscribe(stage)
        job, frames = await stage.queue(), []
        for free in (b"12.1 GiB free", b"12.2 GiB free"):
            waits = {job.id: (WaitReason.NO_HEADROOM, f"needs 14.0 GiB, {free.decode()}", "")}
            await stage.ledger.explain(stage.epoch, waits)
            frames += await tab.until(lambda frame, told=free: told in _binary(frame))
        await stage.ledger.cancel("ann", job.id)
    said = [entry["m"] for frame in frames for entry in _entries(frame)]
    assert [line.partition(" waits: ")[2] for line in said if " waits: " in line] == [
        "needs 14.0 GiB, 12.1 GiB free\n"
    ]


def _binary(frame: Any) -> bytes:
    return frame if isinstance(frame, bytes) else b""


def _entries(frame: Any) -> list[Any]:
    is_log = isinstance(frame, dict) and frame["type"] == "logs"
    return frame["data"]["entries"] if is_log else []


async def test_nobody_subscribes_for_another(stage: Stage) -> None:
    async with stage.tab("ann", "same") as anns:
        await subscribe(stage, "bob", "same")
        await run_one(stage, "bob")
        assert await anns.silent()
        job = await stage.start(await stage.queue("ann", "same"))
        await stage.agent.end(job)
        await stage.settle(job)
        assert "logs" not in kinds(await anns.until_idle())


async def test_a_wish_that_another_gateway_was_told_counts_here(stage: Stage) -> None:
    for gateway in ("one", "two"):
        await stage.ledger.announce_gateway(gateway, f"http://127.0.0.1:9/{gateway}", 60_000)
    async with asyncio.timeout(30):
        while len(stage.services.agents.pool.gateways) < 2:
            await asyncio.sleep(0.05)
    await subscribe(stage)  # before the socket is here: as if it were elsewhere
    async with stage.tab() as tab, stage.tab("ann", "other") as other:
        id_ = await run_one(stage)
        assert f"prompt {id_} queued\n" in (await lines(tab, 1))[0]
        frames = await other.until(lambda frame: frame["type"] == "status")
        assert "logs" not in kinds(frames)


@pytest.mark.parametrize("body", ["[]", "", "{", '"x"'])
async def test_a_subscription_that_is_no_object_is_refused(stage: Stage, body: str) -> None:
    status, _ = await stage.call("PATCH", "/internal/logs/subscribe", "ann", data=body)
    assert status == 400


@pytest.mark.parametrize("client_id", [None, 7, "x" * 257, "nobody"])
async def test_a_subscription_of_nobody_changes_nothing(stage: Stage, client_id: Any) -> None:
    body = {"clientId": client_id, "enabled": True}
    status, _ = await stage.call("PATCH", "/internal/logs/subscribe", "ann", json=body)
    assert status == 200
