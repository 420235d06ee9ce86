"""A worker is killed in the middle of sampling: how soon that is known, and what its user sees."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any, Final

from bench.gpu.clients import Posted, Seat, wait_all
from bench.gpu.jobs import graph
from bench.gpu.setting import Setting, say
from bench.gpu.shared import plan
from bench.gpu.studio import USERS, Studio
from scheduler.states import Job, WorkerState

#: long enough to be hit in the middle
_CASE: Final = "sdxl-1024-1024-2-60"
_REHEARSED: Final = "sd15-small-64-64-1-12"
_MIDDLE_STEP: Final = 5
_TIMES: Final = 3
_LOOK_S: Final = 0.02
_WATCH_S: Final = 60.0
#: device memory counts as given back when so much of what the process held is free again
_BACK: Final = 0.95


async def kill_worker(setting: Setting) -> None:
    """Several times, with a neighbour at work each time."""
    async with Studio.open(setting.place("kill"), plan(setting)) as studio:
        for number in range(_TIMES):
            row = await _once(setting, studio, number)
            setting.note("kill", {"facts": row, "workers": setting.workers})
            await studio.idle()
            await studio.all_up(setting.workers, setting.start_s)


async def _once(setting: Setting, studio: Studio, number: int) -> dict[str, Any]:
    name = _REHEARSED if setting.cpu else _CASE
    seats = [studio.seats[user] for user in USERS[:2]]
    posted = [await seat.post(name, graph(name, 1000 * number + k)) for k, seat in enumerate(seats)]
    victim = posted[0]
    job = await _in_the_middle(setting, studio, victim)
    pid = _pid(studio, job.worker)
    if pid is None:
        raise RuntimeError(f"{job.worker} is not in the agent's list of processes")
    held = _held(setting, pid)
    say(f"kill -9 {pid} ({job.worker}) at step {victim.step}")
    began = time.time()
    os.kill(pid, signal.SIGKILL)
    seen = await _watch(setting, studio, job, pid, held)
    await wait_all(posted, setting.limit_s)
    again = await studio.ledger.find(USERS[0], victim.prompt_id)
    return {
        "case": name,
        **seen,
        "held": held,
        "result": victim.result,
        "neighbour": posted[1].result,
        "attempts": 0 if again is None else again.attempt,
        "second_worker": "" if again is None else again.worker,
        "ended_after_s": _since(began, victim.ended_at),
        **await _as_seen(seats[0], victim),
    }


async def _in_the_middle(setting: Setting, studio: Studio, victim: Posted) -> Job:
    """Its job, once it samples.

    Raises:
        TimeoutError: it never does.
    """
    async with asyncio.timeout(setting.limit_s):
        while victim.step < _MIDDLE_STEP:  # noqa: ASYNC110 - frames tell it, nothing to wait for
            await asyncio.sleep(_LOOK_S)
    job = await studio.ledger.find(USERS[0], victim.prompt_id)
    if job is None:
        raise RuntimeError("the ledger does not know a prompt that runs")
    return job


async def _watch(
    setting: Setting, studio: Studio, job: Job, pid: int, held: int
) -> dict[str, float | None]:
    """Seconds until the loss is known, the memory free, the worker up again."""
    began = time.monotonic()
    full = setting.card.reading()
    seen: dict[str, float | None] = {"known_s": None, "memory_back_s": None, "up_again_s": None}
    while None in seen.values() and time.monotonic() - began < _WATCH_S:
        passed = round(time.monotonic() - began, 2)
        worker = (await studio.pool()).workers.get(job.worker)
        now = await studio.ledger.find(job.user, job.prompt_id)
        if seen["known_s"] is None and now is not None and now.losses > job.losses:
            seen["known_s"] = passed
        if seen["memory_back_s"] is None and _is_back(setting, pid, held, full):
            seen["memory_back_s"] = passed
        ready = worker is not None and worker.state is WorkerState.READY
        if seen["up_again_s"] is None and ready and _pid(studio, job.worker) not in (None, pid):
            seen["up_again_s"] = passed
        await asyncio.sleep(_LOOK_S)
    return seen


def _is_back(setting: Setting, pid: int, held: int, full: Any) -> bool:
    now = setting.card.reading()
    if now is None or full is None:
        return True
    if now.processes:
        return pid not in now.processes
    return bool(now.used_bytes <= full.used_bytes - _BACK * held)


def _held(setting: Setting, pid: int) -> int:
    now = setting.card.reading()
    return 0 if now is None else now.processes.get(pid, 0)


async def _as_seen(seat: Seat, victim: Posted) -> dict[str, Any]:
    """What its user is shown: one end, one entry of the history, one job."""
    history = await seat.history(victim.prompt_id)
    return {
        "ends": victim.ends,
        "history": len(history),
        "shown": await seat.jobs(victim.prompt_id),
    }


def _pid(studio: Studio, worker: str) -> int | None:
    """As the agent wrote it down; None: it does not run."""
    noted = json.loads(next(studio.stack.data_dir.rglob("workers.json")).read_text())
    return noted[worker]["pid"] if worker in noted else None


def _since(began: float, at: float | None) -> float | None:
    return None if at is None else round(at - began, 2)
