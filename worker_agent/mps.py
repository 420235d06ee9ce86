"""CUDA's Multi-Process Service for our workers: one daemon of our own, in folders of our own.

The daemon runs in the foreground of its process, in a session of its own: like the workers it
outlives an agent that is killed, and the next agent adopts it. Names of variables and commands:
NVIDIA, *Multi-Process Service*, sections 4.2 and 5.1.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from worker_agent.launch import LaunchSpec
from worker_agent.mps_client import mps_environment
from worker_agent.supervisor import Process, Registry

_log = structlog.get_logger(__name__)

#: comes with the driver
CONTROL: Final = "nvidia-cuda-mps-control"
_NAME: Final = "daemon"
#: how often the daemon is looked at, seconds
_LOOK: Final = 0.5
#: how long it may take to end its clients' server, seconds
_QUIT: Final = 2.0
#: between SIGTERM and SIGKILL, seconds
_GRACE: Final = 0.5
#: pause before a daemon that died is started again, seconds
_PAUSE: Final = 2.0


class Mps:
    """The daemon of one agent."""

    def __init__(
        self,
        home: Path,
        gpus: Sequence[str],
        environment: Mapping[str, str],
        on_death: Callable[[], Awaitable[None]],
        control: str = CONTROL,
    ) -> None:
        """A daemon that does not run yet.

        Args:
            home: gets its pipes and logs, for this user alone.
            gpus: UUIDs of the GPUs that it serves.
            environment: of its process.
            on_death: called when it died and before it is started again: its clients' memory
                and kernels are in doubt.
            control: the program, by name or path.
        """
        self._home = home
        self._control = control
        self._on_death = on_death
        self._environment = {**environment, **mps_environment(home, None)}
        self._environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        self._registry = Registry(home / "daemon.json")
        self._process = Process(
            LaunchSpec(
                id=_NAME,
                command=(control, "-f"),
                env=self._environment,
                url="",
                gpu_uuid=None,
                log_path=home / "mps.log",
            ),
            self._note,
        )

    @property
    def pid(self) -> int | None:
        """Of the daemon, or None."""
        return self._process.pid

    def start(self) -> None:
        """Start the daemon, or adopt the one that an earlier agent left.

        Raises:
            OSError: there is no such program: it comes with the NVIDIA driver.
        """
        for name in ("pipe", "log"):
            (self._home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._registry.read().get(_NAME)
        if known is None or not self._process.adopt(known):
            self._process.start()

    async def run(self) -> None:
        """Notice when the daemon dies, and start it again; ends by cancellation."""
        while True:
            while self._process.alive():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
            _log.error("mps_died", home=str(self._home), hint="its log folder may say why")
            await self._on_death()
            await asyncio.sleep(_PAUSE)
            try:
                self._process.start()
            except OSError as error:
                _log.error("mps_start_failed", detail=str(error))

    async def stop(self) -> None:
        """End the daemon and its server; the workers have ended before."""
        if self._process.alive():
            await asyncio.to_thread(self._quit)
        await self._process.stop(_GRACE)

    def _quit(self) -> None:
        try:
            subprocess.run(
                [self._control],
                input=b"quit\n",
                env=self._environment,
                timeout=_QUIT,
                check=False,
                capture_output=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            _log.warning("mps_quit_failed", detail=str(error))

    def _note(self) -> None:
        noted = self._process.noted
        self._registry.write({_NAME: noted} if noted is not None else {})


def our_environment() -> dict[str, str]:
    """The environment of the daemon: our own, without what makes it somebody else's client."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CUDA_MPS_")}
