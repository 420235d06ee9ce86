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
from dashboard.alerts.duty import Duty
from dashboard.api.upkeep_shapes import Rolling
from scheduler.ledger import Ledger, LedgerUnavailable, Pool
from scheduler.states import WorkerState

_log = structlog.get_logger()
#: between two looks, seconds
LOOK_S: Final = 0.5
#: how long a worker may take from its restart until it answers, seconds
UP_S: Final = 600.0
#: a host that has said nothing for longer restarts nothing
SILENT_MS: Final = 60_000
_NOTE: Final = "rolling-restart"
#: The note outlives a step of the work by far, and a process that died by little.
_RUNNING_MS: Final = 30_000
#: What came of the last one can be read for so long.
_ENDED_MS: Final = 3_600_000


class NotBack(Exception):
    """A worker does not answer after its restart."""


async def restart_worker(
    ledger: Ledger,
    worker: str,
    clock: Callable[[], float],
    tick: Callable[[], Awaitable[None]],
    silent_ms: int = SILENT_MS,
) -> bool:
    """Ask for a restart and wait until the worker answers again.

    Args:
        ledger: of the pool.
        worker: its id.
        clock: monotonic seconds.
        tick: called at each look.
        silent_ms: a host that has said nothing for longer is away.

    Returns:
        False: nobody of ours started it, so nobody restarts it.

    Raises:
        NotBack: it does not come back, or its host is away.
    """
    path = restart_path(worker)
    await ledger.override({path: ASKED})
    try:
        while (asked := (await ledger.overrides())[1].get(path)) == ASKED:
            if _is_away(await ledger.pool(), worker, silent_ms):
                raise NotBack(
                    f"{worker}: its host says nothing of it any more. The workers after it were "
                    "not restarted."
                )
            await tick()
            await asyncio.sleep(LOOK_S)
    except (asyncio.CancelledError, NotBack):
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


def _is_away(pool: Pool, worker: str, silent_ms: int) -> bool:
    found = pool.workers.get(worker)
    return found is None or pool.now_ms - found.heartbeat_ms > silent_ms


class RollingRestart:
    """One at a time in the whole pool."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], holder: str) -> None:
        """``clock``: monotonic seconds; ``holder``: names this process, as no other is called."""
        self._ledger = ledger
        self._clock = clock
        self._duty = Duty(ledger, _NOTE, holder)
        self._beginning = asyncio.Lock()
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
        async with self._beginning:
            if self._task is not None and not self._task.done():
                return False
            now = await self.state()
            # the duty: two gateways may be asked at the same moment
            if (now is not None and now["running"]) or not await self._duty.mine():
                return False
            await self._begin(workers, by)
        return True

    async def _begin(self, workers: Sequence[str], by: str) -> None:
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
            await self._duty.leave()

    async def _tell(self, state: Rolling) -> None:
        if state["running"]:
            await self._duty.mine()
        ttl_ms = _RUNNING_MS if state["running"] else _ENDED_MS
        await self._ledger.note(_NOTE, json.dumps(state), ttl_ms, replace=True)
