"""Takes workers out of service and back: drain, restart when idle, and leaks.

What admins ask for is read from the ledger's overrides once a second. A worker is stopped
only when it has no job and none was promised to it: it first reports itself DOWN, and from
then on the ledger promises it nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Final, Protocol

import structlog

from config.settings import Comfyui
from config.upkeep import REFUSED, drained, restart_path, to_restart
from scheduler.ledger import Ledger, LedgerUnavailable
from worker_agent.supervisor import Process

_log = structlog.get_logger(__name__)

#: between two looks, seconds
_LOOK: Final = 1.0
#: an idle worker has nothing to tidy up: time from SIGTERM to SIGKILL, seconds
_GRACE: Final = 3.0
#: a bound that an idle worker exceeds for less than this is no leak, seconds
_LEAK_PATIENCE: Final = 30.0


class Rest(StrEnum):
    """Why a worker takes nothing, as its report tells."""

    NONE = ""
    DRAINING = "draining"
    DRAINED = "drained"
    RESTARTING = "restarting"


class Restable(Protocol):
    """What is needed of a worker's driver."""

    id: str
    rest: Rest

    @property
    def process(self) -> Process | None:
        """The process that we started; None: somebody else's."""
        ...

    @property
    def idle(self) -> bool:
        """It has nothing to do, and nothing waits for it here."""
        ...

    @property
    def up(self) -> bool:
        """It answers."""
        ...

    @property
    def residue_bytes(self) -> int:
        """Device memory that it holds with no model loaded; 0: it has models loaded."""
        ...


class Upkeep:
    """Of all workers of one agent."""

    def __init__(
        self,
        agent: str,
        ledger: Ledger,
        drivers: Mapping[str, Restable],
        *,
        bounds: Comfyui,
        host_bytes: Callable[[str], int],
        report: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """Look after ``drivers``.

        Args:
            agent: whose workers these are.
            ledger: holds what admins ask for.
            drivers: by worker.
            bounds: what counts as a leak.
            host_bytes: worker → main memory of its processes.
            report: tells the ledger how the workers are now.
            clock: monotonic seconds.
        """
        self._agent = agent
        self._ledger = ledger
        self._drivers = drivers
        self._bounds = bounds
        self._host_bytes = host_bytes
        self._report = report
        self._clock = clock
        #: since when an idle worker exceeds a bound
        self._over: dict[str, float] = {}
        #: restarts that nobody asked for
        self._leaking: set[str] = set()

    async def run(self) -> None:
        """Look once a second; ends by cancellation."""
        while True:
            try:
                _, overrides = await self._ledger.overrides()
                await self.look(overrides)
            except LedgerUnavailable as error:
                _log.debug("ledger_unavailable", call="overrides", detail=str(error))
            await asyncio.sleep(_LOOK)

    async def look(self, overrides: Mapping[str, str]) -> None:
        """Go a step on with every worker.

        Raises:
            LedgerUnavailable: it goes on with the next look.
        """
        resting, anew = drained(overrides), to_restart(overrides)
        for driver in self._drivers.values():
            self._watch_leaks(driver)
            wanted = driver.id in resting or self._agent in resting
            if wanted or driver.rest in (Rest.DRAINING, Rest.DRAINED):
                await self._drain(driver, wanted=wanted)
            elif driver.id in anew or driver.id in self._leaking:
                await self._restart(driver)

    # ── drain ────────────────────────────────────────────────────────────────

    async def _drain(self, driver: Restable, *, wanted: bool) -> None:
        if not wanted:
            _log.info("worker_undrained", worker=driver.id)
            if driver.process is not None:
                driver.process.resume()
            await self._tell(driver, Rest.NONE)
        elif driver.rest not in (Rest.DRAINING, Rest.DRAINED):
            _log.info("worker_draining", worker=driver.id)
            await self._tell(driver, Rest.DRAINING)
        elif driver.rest is Rest.DRAINING and await self._is_free(driver):
            if driver.process is not None:
                await driver.process.pause(_GRACE)
            _log.info("worker_drained", worker=driver.id)
            await self._tell(driver, Rest.DRAINED)

    async def _is_free(self, driver: Restable) -> bool:
        if not driver.idle:
            return False
        return all(job.worker != driver.id for job in await self._ledger.held(self._agent))

    async def _tell(self, driver: Restable, rest: Rest) -> None:
        driver.rest = rest
        await self._report()

    # ── restart ──────────────────────────────────────────────────────────────

    async def _restart(self, driver: Restable) -> None:
        """One of our workers at a time: the others go on."""
        others = [one for one in self._drivers.values() if one.rest is Rest.RESTARTING]
        if driver.process is None:
            _log.warning("restart_refused", worker=driver.id, why="its agent did not start it")
            await self._ledger.override({restart_path(driver.id): REFUSED})
        elif not others:
            await self._tell(driver, Rest.RESTARTING)
        elif others == [driver] and await self._is_free(driver):
            process = driver.process
            _log.info("worker_restarting", worker=driver.id, pid=process.pid)
            await process.renew(_GRACE)
            self._leaking.discard(driver.id)
            await self._ledger.override({restart_path(driver.id): None})
            await self._tell(driver, Rest.NONE)

    def _watch_leaks(self, driver: Restable) -> None:
        why = self._leak(driver) if driver.process is not None and driver.idle else ""
        if not why:
            self._over.pop(driver.id, None)
            return
        since = self._over.setdefault(driver.id, self._clock())
        if self._clock() - since >= _LEAK_PATIENCE and driver.id not in self._leaking:
            _log.warning("worker_leaks", worker=driver.id, why=why)
            self._leaking.add(driver.id)

    def _leak(self, driver: Restable) -> str:
        most, left = self._bounds.max_host, self._bounds.max_residue
        if most is not None and self._host_bytes(driver.id) > most:
            return f"{self._host_bytes(driver.id)} bytes of main memory"
        if left is not None and driver.residue_bytes > left:
            return f"{driver.residue_bytes} bytes of device memory with no model loaded"
        return ""
