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
from worker_agent.process_end import until_gone
from worker_agent.worker_log import LogBounds, rotate

_log = structlog.get_logger(__name__)

#: how often a process is looked at, seconds
_TICK: Final = 0.1
#: pauses before a dead worker is started again: doubled from first to last, seconds
_FIRST_PAUSE: Final = 0.5
_LAST_PAUSE: Final = 30.0
#: a worker that ran this long has recovered, seconds
_STEADY: Final = 60.0
#: how often logs are looked at, seconds
_LOG_LOOK: Final = 5.0
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

    def __init__(
        self,
        spec: LaunchSpec,
        on_change: Callable[[], None],
        turns: asyncio.Semaphore | None = None,
        stagger_s: float = 0.0,
    ) -> None:
        """A process that does not run yet.

        Args:
            spec: how to start it.
            on_change: called when it started, ended, or is no longer wanted.
            turns: who has one may start; None: nobody else starts.
            stagger_s: how long at most the next one waits for this one's first answer.
        """
        self.spec = spec
        #: set once the running process has answered (by whoever asks it)
        self.answered = asyncio.Event()
        self._turns = turns or asyncio.Semaphore(1)
        self._stagger_s = stagger_s
        #: cleared while it is to stay down
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._renewing = False
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
        self.answered.clear()
        self.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.spec.log_path, "ab", opener=_private) as log:
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
            await self._wanted.wait()
            since = clock()
            try:
                if not self.alive():
                    await self._start_in_turn()
                    since = clock()
                await self._gone()
                self._on_change()
            except OSError as error:
                _log.error("worker_start_failed", worker=self.spec.id, detail=str(error))
            if self._stopping:
                return
            if self._renewing or not self._wanted.is_set():
                self._renewing, pause = False, _FIRST_PAUSE
                continue
            pause = _FIRST_PAUSE if clock() - since >= _STEADY else pause
            _log.warning("worker_died", worker=self.spec.id, again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _start_in_turn(self) -> None:
        """Start when it is our turn, and keep the turn until there is an answer.

        Starting ComfyUI reads gigabytes and keeps a core busy: on few cores one after the other
        is up sooner than all at once.
        """
        async with self._turns:
            if self._stopping or not self._wanted.is_set():
                return
            self.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stagger_s):
                    await self._answered_or_gone()

    async def _answered_or_gone(self) -> None:
        # its end is nobody's event
        while self.alive() and not self.answered.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_TICK)

    async def _gone(self) -> None:
        if (pid := self.pid) is not None:
            await until_gone(pid, self.alive)

    def kill(self) -> None:
        """End the process at once; ``run`` starts it again."""
        self._signal(signal.SIGKILL)

    async def pause(self, grace_s: float = STOP_GRACE) -> None:
        """End the process until ``resume``."""
        self._wanted.clear()
        await self._end(grace_s)

    def resume(self) -> None:
        """Start it again after ``pause``."""
        self._wanted.set()

    async def renew(self, grace_s: float = STOP_GRACE) -> None:
        """End the process, to be started anew at once."""
        self._renewing = self.alive()
        await self._end(grace_s)

    async def stop(self, grace_s: float = STOP_GRACE) -> None:
        """End the process for good."""
        self._stopping = True
        self._wanted.set()
        await self._end(grace_s)

    async def _end(self, grace_s: float) -> None:
        """End this life of the process; ``run`` may begin the next one meanwhile."""
        life = self.noted
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._over(life)
        except TimeoutError:
            _log.warning("worker_ignores_sigterm", worker=self.spec.id)
            self._signal(signal.SIGKILL)
            await self._over(life)
        if self.noted is life:
            self.noted = None
        self._on_change()

    async def _over(self, life: Noted | None) -> None:
        while self.noted is life and self.alive():  # noqa: ASYNC110
            await asyncio.sleep(_TICK)

    def _signal(self, number: signal.Signals) -> None:
        if self.noted is None or not self.alive():
            return
        # the process leads a session, so that its helpers get the signal too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.noted.pid, number)


class Supervisor:
    """All worker processes of this agent."""

    def __init__(
        self,
        specs: Sequence[LaunchSpec],
        registry: Path,
        *,
        stagger_s: float = 0.0,
        at_once: int = 1,
        logs: LogBounds | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Supervise the processes of ``specs``.

        Args:
            specs: what to start.
            registry: where it is noted for the agent that comes after us.
            stagger_s: how long at most one waits for the answer of the one before.
            at_once: so many start at a time.
            logs: how large logs may get; None: they only grow.
            on_change: called when a process started or ended.
        """
        self._registry = Registry(registry)
        self._logs = logs
        self._on_change = on_change
        turns = asyncio.Semaphore(at_once)
        self._processes = {spec.id: Process(spec, self._note, turns, stagger_s) for spec in specs}

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
        running = (process.run() for process in self._processes.values())
        await asyncio.gather(*running, self._keep_logs_small())

    async def stop(self, grace_s: float = STOP_GRACE) -> None:
        """Stop all processes."""
        await asyncio.gather(*(process.stop(grace_s) for process in self._processes.values()))

    async def _keep_logs_small(self) -> None:
        while self._logs is not None:
            for process in self._processes.values():
                await asyncio.to_thread(rotate, process.spec.log_path, self._logs)
            await asyncio.sleep(_LOG_LOOK)

    def _note(self) -> None:
        self._on_change()
        self._registry.write(
            {
                worker: process.noted
                for worker, process in self._processes.items()
                if process.noted is not None
            }
        )


def _private(path: str, flags: int) -> int:
    """Opens a log for its owner alone: it may quote prompts."""
    return os.open(path, flags, 0o600)


def _orphan(worker: str, noted: Noted) -> LaunchSpec:
    """Stands for a process whose spec is gone; it is only ever stopped."""
    return LaunchSpec(
        id=worker, command=(), env={}, url=noted.url, gpu_uuid=None, log_path=Path(os.devnull)
    )
