"""Starts our worker processes, starts them again when they die, and stops them.

Workers outlive an agent that is killed: each runs in a session of its own
(a terminal's Ctrl-C does not reach it), writes to a file and is noted in a
registry with pid and start time. The next agent adopts those that still live.
A clean stop takes them down: SIGTERM, then SIGKILL for the whole session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from worker_agent.launch import LaunchSpec

_log = structlog.get_logger(__name__)

#: how often a process is looked at, seconds
_TICK: Final = 0.1
#: pauses before a dead worker is started again: doubled from first to last, seconds
_FIRST_PAUSE: Final = 0.5
_LAST_PAUSE: Final = 30.0
#: a worker that ran this long has recovered, seconds
_STEADY: Final = 60.0
#: between SIGTERM and SIGKILL, seconds
STOP_GRACE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Noted:
    """One line of the registry: a process that was ours."""

    pid: int
    #: field 22 of ``/proc/<pid>/stat``; pids are reused, pid and start time are not
    started: int
    url: str


class Registry:
    """``workers.json``: which processes run, for the agent that comes after us."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Noted]:
        """What the last agent noted; empty where the file is missing or damaged."""
        try:
            rows = json.loads(self._path.read_text())
            return {worker: Noted(**row) for worker, row in rows.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            _log.warning("worker_registry_damaged", path=str(self._path), detail=str(error))
            return {}

    def write(self, noted: dict[str, Noted]) -> None:
        """Replace the file in one step."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({worker: asdict(row) for worker, row in noted.items()}))
        draft.replace(self._path)


def start_time(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; None: none, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command in parentheses may hold spaces and parentheses
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


class Process:
    """One worker process over its lives."""

    def __init__(self, spec: LaunchSpec, on_change: Callable[[], None]) -> None:
        self.spec = spec
        self.url = spec.url
        self.noted: Noted | None = None
        #: an earlier agent's process was found alive
        self.adopted = False
        self._child: subprocess.Popen[bytes] | None = None
        self._on_change = on_change
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the running process, or None."""
        return self.noted.pid if self.noted is not None and self.alive() else None

    def alive(self) -> bool:
        """Whether the process runs. Reaps it if it is our child and has ended."""
        if self.noted is None:
            return False
        if self._child is not None:
            return self._child.poll() is None
        return start_time(self.noted.pid) == self.noted.started

    def adopt(self, noted: Noted) -> bool:
        """Take over a process of an earlier agent, if it still lives."""
        if start_time(noted.pid) != noted.started:
            return False
        self.noted, self.url = noted, noted.url
        self.adopted = True
        _log.info("worker_adopted", worker=self.spec.id, pid=noted.pid)
        return True

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: the command cannot be run.
        """
        self.url = self.spec.url
        self.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                self.spec.command,
                env=dict(self.spec.env),
                cwd=self.spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        pid = self._child.pid
        self.adopted = False
        self.noted = Noted(pid, start_time(pid) or 0, self.url)
        self._on_change()
        _log.info("worker_started", worker=self.spec.id, pid=pid, url=self.url)

    async def run(self) -> None:
        """Keep the process running until ``stop``."""
        pause = _FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while not self._stopping:
            since = clock()
            try:
                if not self.alive():
                    self.start()
                await self._gone()
            except OSError as error:
                _log.error("worker_start_failed", worker=self.spec.id, detail=str(error))
            if self._stopping:
                return
            pause = _FIRST_PAUSE if clock() - since >= _STEADY else pause
            _log.warning("worker_died", worker=self.spec.id, again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _gone(self) -> None:
        # a process adopted from a dead agent is not our child: looking is all there is
        while self.alive():  # noqa: ASYNC110
            await asyncio.sleep(_TICK)

    def kill(self) -> None:
        """End the process at once; ``run`` starts it again."""
        self._signal(signal.SIGKILL)

    async def stop(self, grace_s: float = STOP_GRACE) -> None:
        """End the process for good."""
        self._stopping = True
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._gone()
        except TimeoutError:
            _log.warning("worker_ignores_sigterm", worker=self.spec.id)
            self._signal(signal.SIGKILL)
            await self._gone()
        self.noted = None
        self._on_change()

    def _signal(self, number: signal.Signals) -> None:
        if self.noted is None or not self.alive():
            return
        # the process leads a session, so that its helpers get the signal too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.noted.pid, number)


class Supervisor:
    """All worker processes of this agent."""

    def __init__(self, specs: Sequence[LaunchSpec], registry: Path) -> None:
        self._registry = Registry(registry)
        self._processes = {spec.id: Process(spec, self._note) for spec in specs}

    def process(self, worker: str) -> Process | None:
        """The worker's process; None: somebody else runs it."""
        return self._processes.get(worker)

    async def take_over(self) -> None:
        """Adopt what an earlier agent left; stop what is no longer wanted."""
        orphans = []
        for worker, noted in self._registry.read().items():
            process = self._processes.get(worker)
            if process is None:
                process = Process(_orphan(worker, noted), self._note)
                if process.adopt(noted):
                    orphans.append(process)
            else:
                process.adopt(noted)
        await asyncio.gather(*(orphan.stop() for orphan in orphans))
        self._note()

    async def run(self) -> None:
        """Keep all processes running; cancel it, then ``stop``."""
        await asyncio.gather(*(process.run() for process in self._processes.values()))

    async def stop(self, grace_s: float = STOP_GRACE) -> None:
        """Stop all processes."""
        await asyncio.gather(*(process.stop(grace_s) for process in self._processes.values()))

    def _note(self) -> None:
        self._registry.write(
            {
                worker: process.noted
                for worker, process in self._processes.items()
                if process.noted is not None
            }
        )


def _orphan(worker: str, noted: Noted) -> LaunchSpec:
    """Stands for a process whose spec is gone; it is only ever stopped."""
    return LaunchSpec(
        id=worker, command=(), env={}, url=noted.url, gpu_uuid=None, log_path=Path(os.devnull)
    )
