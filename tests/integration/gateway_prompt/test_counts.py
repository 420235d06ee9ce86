"""Counts in ``status`` frames while many prompts of several users run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job
from tests.integration.gateway_prompt.stage import Stage, Tab, a_stage, remaining
from tests.integration.gateway_prompt.test_missed_ends import known

PROMPTS = 24


@pytest.fixture
async def crowded(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    async with a_stage(ledger, tmp_path, workers=6) as stage:
        yield stage


async def run_all(stage: Stage, jobs: list[Job]) -> None:
    """Run them six at a time, each as long as it takes to say some words."""
    gate, door = asyncio.Semaphore(6), asyncio.Lock()

    async def one(job: Job) -> None:
        async with gate:
            async with door:  # two that look for an idle worker would find the same
                running = await stage.start(job)
            for step in range(3):
                data = {"node": "1", "value": step, "max": 3, "prompt_id": job.prompt_id}
                await stage.agent.say(running, "progress", data)
            await stage.agent.end(running)
            await stage.settle(running)

    await asyncio.gather(*(one(job) for job in jobs))


async def watch(stage: Stage, tab: Tab, user: str, total: int) -> list[Any]:
    """All frames until the last of the user's prompts has ended, each checked as it comes."""
    frames: list[Any] = []
    over: set[str] = set()
    while len(over) < total:
        frame = await tab.next()
        frames.append(frame)
        if frame["type"] == "status":
            # nothing is submitted any more: what has left the count is history
            history = await stage.get("/history", user)
            assert len(history) >= total - remaining(frame)
            queue = await stage.get("/queue", user)
            left = len(queue["queue_running"]) + len(queue["queue_pending"])
            assert left <= remaining(frame)
        elif frame["type"] == "executing" and frame["data"]["node"] is None:
            over.add(frame["data"]["prompt_id"])
    return frames


def check_order(frames: list[Any], jobs: list[Job]) -> None:
    """Each prompt's last words, a count that it has left, and only then its end."""
    counts = [remaining(frame) for frame in frames if frame["type"] == "status"]
    assert counts == sorted(counts, reverse=True)
    assert counts.count(0) == 1
    for job in jobs:
        mine = [
            place
            for place, frame in enumerate(frames)
            if frame["data"].get("prompt_id") == job.prompt_id
        ]
        success, end = mine[-2:]
        assert frames[success]["type"] == "execution_success"
        assert frames[end]["type"] == "executing"
        assert any(frame["type"] == "status" for frame in frames[success:end])


async def test_counts_are_exact_and_history_is_there_before_they_fall(crowded: Stage) -> None:
    anns = [await crowded.queue("ann") for _ in range(PROMPTS)]
    bobs = [await crowded.queue("bob") for _ in range(PROMPTS)]
    await known(crowded)  # else counts on their way would be told to the tabs
    async with crowded.tab("ann") as ann, crowded.tab("bob") as bob:
        mixed = [job for pair in zip(anns, bobs, strict=True) for job in pair]
        seen, theirs, _ = await asyncio.gather(
            watch(crowded, ann, "ann", PROMPTS),
            watch(crowded, bob, "bob", PROMPTS),
            run_all(crowded, mixed),
        )
    for frames, jobs, others in ((seen, anns, bobs), (theirs, bobs, anns)):
        check_order(frames, jobs)
        strangers = {job.prompt_id for job in others}
        assert not any(frame["data"].get("prompt_id") in strangers for frame in frames)
