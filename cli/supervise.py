"""Keeps child processes running: starts, restarts with growing pauses, stops in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from cli.lifeline import die_with
from cli.logbook import LogBook

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
#: A child that lived this long had started well: the next pause is short again.
STEADY_S: Final = 30.0
#: Deaths in a row before everything was up once: it will not get better by itself.
MOST_FALSE_STARTS: Final = 4
#: Exit codes by which a command says "not like this": trying again changes nothing.
REFUSALS: Final = frozenset({1, 2})
_LONGEST_LINE: Final = 2**20
_LAST_WORDS_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One child process."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    #: how long it may take to stop by itself before it is killed
    stop_within_s: float
    #: file descriptors it inherits
    pass_fds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Child:
    service: Service
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    restarts: int = 0
    false_starts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """The children of one ``vramgate up``.

    Args:
        book: gets what they write.
        on_change: called after a child started or ended.
        clock: monotonic seconds.
    """

    def __init__(
        self, book: LogBook, on_change: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self._book = book
        self._on_change = on_change
        self._clock = clock
        self._children: dict[str, _Child] = {}
        #: True once everything answered: from now on nothing is given up
        self.steady = False
        #: holds the sentence why it cannot work, once it cannot
        self.failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def start(self, service: Service) -> None:
        """Start a child and keep it running."""
        child = _Child(service)
        self._children[service.name] = child
        child.task = asyncio.create_task(self._keep(child), name=f"keep {service.name}")

    def state(self) -> dict[str, dict[str, int]]:
        """Process id (0: down right now) and restarts of each child."""
        return {
            name: {"pid": _pid(child.process), "restarts": child.restarts}
            for name, child in self._children.items()
        }

    async def stop(self, name: str) -> None:
        """Ask the child to end, wait, kill what is left of it."""
        child = self._children.pop(name, None)
        if child is None or child.task is None:
            return
        child.stopping.set()
        if child.process is not None and child.process.returncode is None:
            child.process.terminate()
        done, _ = await asyncio.wait([child.task], timeout=child.service.stop_within_s)
        if not done:
            log.warning("killed", service=name, after_s=child.service.stop_within_s)
            _kill_group(child.process)
            await child.task

    def kill_all(self) -> None:
        """No more waiting: kill every child that is left."""
        for child in self._children.values():
            child.stopping.set()
            _kill_group(child.process)

    async def _keep(self, child: _Child) -> None:
        pause = FIRST_PAUSE_S
        while not child.stopping.is_set():
            began = self._clock()
            code = await self._run_once(child)
            if child.stopping.is_set():
                return
            lived = self._clock() - began
            if lived >= STEADY_S:
                pause = FIRST_PAUSE_S
            self._judge(child, code)
            child.restarts += 1
            log.warning(
                "service_ended",
                service=child.service.name,
                code=code,
                lived_s=round(lived, 1),
                restart_in_s=pause,
            )
            await _until(child.stopping, pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _run_once(self, child: _Child) -> int:
        service = child.service
        process = await asyncio.create_subprocess_exec(
            *service.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(service.environ),
            pass_fds=service.pass_fds,
            # Ctrl-C on the terminal is for us alone: children are stopped in order.
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
            limit=_LONGEST_LINE,
        )
        child.process = process
        if child.stopping.is_set():  # while it was being started
            process.terminate()
        self._on_change()
        reading = asyncio.create_task(self._read(service.name, process))
        code = await process.wait()
        # Whatever it started itself goes with it, which also ends our reading; what left
        # its group must not hold us up.
        _kill_group(process)
        await asyncio.wait([reading], timeout=_LAST_WORDS_S)
        reading.cancel()
        self._on_change()
        return code

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line beyond the limit: its end comes as the next one
                continue
            if not line:
                return
            self._book.line(name, line)

    def _judge(self, child: _Child, code: int) -> None:
        """Before everything was up once, a refusal or a series of crashes ends it all."""
        if self.steady or self.failure.done():
            return
        child.false_starts += 1
        if code not in REFUSALS and child.false_starts < MOST_FALSE_STARTS:
            return
        name = child.service.name
        said = self._book.tail(name) or f"it ended with code {code} and said nothing"
        self.failure.set_result(
            f"{name} cannot start:\n{said}\n(all of it: {self._book.path(name)})"
        )


def _pid(process: asyncio.subprocess.Process | None) -> int:
    return process.pid if process is not None and process.returncode is None else 0


def _kill_group(process: asyncio.subprocess.Process | None) -> None:
    if process is None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone; macOS says so for zombies
        return


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Sleep, or less where the event comes."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
