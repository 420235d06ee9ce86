"""Restarts workers one after the other: each when it is idle, the next when it answers again.

How far it is stands in the ledger, so that every gateway tells the same and only one of them
does it. It is a task of the process that was asked: if that ends, the workers that are left
stay as they are, and the note says so by ending, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from config.upkeep import ASKED, REFUSED, restart_path
from dashboard.api.upkeep_shapes import Rolling
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import WorkerState

_log = structlog.get_logger()
#: between two looks, seconds
LOOK_S: Final = 0.5
#: how long a worker may take from its restart until it answers, seconds
UP_S: Final = 600.0
_NOTE: Final = "rolling-restart"
#: The note outlives a step of the work by far, and a process that died by little.
_RUNNING_MS: Final = 30_000
#: What came of the last one can be read for so long.
_ENDED_MS: Final = 3_600_000


class NotBack(Exception):
    """A worker does not answer after its restart."""


async def restart_worker(
    ledger: Ledger, worker: str, clock: Callable[[], float], tick: Callable[[], Awaitable[None]]
) -> bool:
    """Ask for a restart and wait until the worker answers again.

    Args:
        ledger: of the pool.
        worker: its id.
        clock: monotonic seconds.
        tick: called at each look.

    Returns:
        False: nobody of ours started it, so nobody restarts it.

    Raises:
        NotBack: it does not come back.
    """
    path = restart_path(worker)
    await ledger.override({path: ASKED})
    try:
        while (asked := (await ledger.overrides())[1].get(path)) == ASKED:
            await tick()
            await asyncio.sleep(LOOK_S)
    except asyncio.CancelledError:
        await ledger.override({path: None})
        raise
    if asked == REFUSED:
        await ledger.override({path: None})
        return False
    until = clock() + UP_S
    while clock() < until:
        found = (await ledger.pool()).workers.get(worker)
        if found is not None and found.state is WorkerState.READY and not found.detail:
            return True
        await tick()
        await asyncio.sleep(LOOK_S)
    raise NotBack(
        f"{worker} does not answer after its restart: its log shows why. The workers after it "
        "were not restarted."
    )


class RollingRestart:
    """One at a time in the whole pool."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        """``clock``: monotonic seconds."""
        self._ledger = ledger
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def state(self) -> Rolling | None:
        """The one under way, or the last one of this hour."""
        text = await self._ledger.noted(_NOTE)
        if text is None:
            return None
        found: Rolling = json.loads(text)
        return found

    async def begin(self, workers: Sequence[str], by: str) -> bool:
        """Restart these in this order. False: another one is under way."""
        now = await self.state()
        if now is not None and now["running"]:
            return False
        state: Rolling = {
            "running": True,
            "by": by,
            "done": [],
            "current": "",
            "left": list(workers),
            "error": "",
        }
        await self._tell(state)
        self._task = asyncio.create_task(self._run(state))
        return True

    async def close(self) -> None:
        """Leave what is left as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, state: Rolling) -> None:
        try:
            while state["left"]:
                state["current"] = state["left"].pop(0)
                await self._tell(state)
                ours = await restart_worker(
                    self._ledger, state["current"], self._clock, lambda: self._tell(state)
                )
                state["done"].append(state["current"] if ours else f"{state['current']} (not ours)")
            state["current"] = ""
        except NotBack as error:
            state["error"] = str(error)
        except LedgerUnavailable as error:
            state["error"] = f"the queue does not answer: {error}"
        except asyncio.CancelledError:
            state["error"] = "the gateway that did it was stopped; begin again for those left"
            raise
        finally:
            state["running"] = False
            _log.info("rolling_restart_ended", done=state["done"], error=state["error"])
            await self._tell(state)

    async def _tell(self, state: Rolling) -> None:
        ttl_ms = _RUNNING_MS if state["running"] else _ENDED_MS
        await self._ledger.note(_NOTE, json.dumps(state), ttl_ms, replace=True)
