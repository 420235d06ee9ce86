"""One running system: the queue's server and the children, from first start to last stop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from cli import pages
from cli.agent import kill_left_workers
from cli.banner import ready_block
from cli.boot import store_url, token_file
from cli.errors import CliError
from cli.half_restored import refuse_half_restored
from cli.http_get import http_get
from cli.listening import listen_shared, url_of
from cli.logbook import BookHandler, LogBook
from cli.logs import set_up_logging
from cli.options import Ground
from cli.runstate import RunState, read_state, remove_state, run_dir, write_state
from cli.services import (
    METRICS_DIR,
    STOP_ORDER,
    child_environ,
    gateway_names,
    role_command,
    role_service,
    variable,
)
from cli.supervise import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Supervisor
from cli.valkey import EmbeddedValkey, ValkeyError
from cli.worker_source import WorkerSource, found_or_simulated, told
from config.loading import Option

log = structlog.get_logger()
T = TypeVar("T")

#: What has to run before the first prompt can (and the agent); the others wait for it, so
#: that they do not slow it down, but not for ever.
_FIRST: Final = ("scheduler", "gateway")
_LATER: Final = ("recorder", "jobs")
_LATER_S: Final = 5.0
_LOOK_S: Final = 0.05
_PROGRESS_S: Final = 2.0
_READY_TIMEOUT_S: Final = 2.0


async def run_system(ground: Ground, options: Sequence[Option], *, verbose: bool) -> int:
    """Run until told to stop; the exit code.

    Raises:
        CliError: it cannot start; nothing is left running.
    """
    gateway = ground.source.current().gateway
    refuse_half_restored(ground.data_dir)
    with _folder(ground.data_dir), contextlib.ExitStack() as opened:
        servers = listen_shared(gateway.host, gateway.port, gateway.processes)
        for server in servers:
            opened.enter_context(server)
        system = System(ground, options, servers, verbose=verbose)
        try:
            await system.run()
        finally:
            remove_state(ground.data_dir)
    return 0


class System:
    """See the module."""

    def __init__(
        self,
        ground: Ground,
        options: Sequence[Option],
        servers: Sequence[socket.socket],
        *,
        verbose: bool,
    ) -> None:
        self._ground = ground
        self._settings = ground.source.current()
        self._options = list(options)
        #: one for each gateway
        self._servers = servers
        self._port: int = servers[0].getsockname()[1]
        self._url = url_of(self._settings.gateway.host, self._port)
        self._book = LogBook(ground.data_dir / "logs", "info" if verbose else "warning", _say)
        own = self._settings.log.model_copy(update={"format": "json"})
        set_up_logging(own, "up", BookHandler(self._book, "up"))
        self._children = Supervisor(self._book, self._note_state, time.monotonic)
        self._valkey: EmbeddedValkey | None = None
        self._redis_url = self._settings.redis.url or ""
        self._source: WorkerSource | None = None
        self._began = time.time()
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._beside: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Start, say when it is ready, keep going, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        try:
            self._start_valkey()
            await self._start_children()
            await self._until_ready()
            if not self._stop.is_set():
                await self._first_of(self._stop.wait())
        finally:
            await self._stop_all()

    # ── start ────────────────────────────────────────────────────────────────

    def _start_valkey(self) -> None:
        if self._redis_url:
            return
        self._valkey = EmbeddedValkey(self._ground.data_dir / "valkey")
        try:
            self._valkey.start()
        except ValkeyError as error:
            raise CliError(str(error)) from error
        self._redis_url = self._valkey.url
        self._run_beside(self._keep_valkey(self._valkey))

    async def _keep_valkey(self, server: EmbeddedValkey) -> None:
        """Start it again when it dies; all children wait for it meanwhile."""
        pause, began = FIRST_PAUSE_S, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            if server.alive:
                continue
            if time.monotonic() - began >= STEADY_S:
                pause = FIRST_PAUSE_S
            log.warning("valkey_ended", restart_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            began = time.monotonic()
            try:
                # Blocks for as long as it reads its data back: children are forked by this
                # thread alone, so that they die with it (see ``lifeline``).
                server.start()
            except ValkeyError as error:
                log.error("valkey_does_not_start", error=str(error))

    async def _start_children(self) -> None:
        if pages.need_building():
            _say("building the dashboard's pages in the background (once) ...")
            self._run_beside(pages.build(self._book, _say))
        for role in _FIRST:
            self._start(role)
        self._source = told(self._settings.agent) or await found_or_simulated()
        self._options += self._source.options
        self._note_state()
        self._start("agent")
        self._run_beside(self._start_later())

    async def _start_later(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), _LATER_S)
        for role in _LATER:
            self._start(role)

    def _start(self, role: str) -> None:
        environ = child_environ(self._options)
        environ[variable("redis.url")] = self._redis_url
        environ[variable("gateway.port")] = str(self._port)
        environ[variable("data_dir")] = str(self._ground.data_dir)
        cluster = self._settings.cluster
        if cluster.token is None and cluster.token_file is None:
            environ[variable("cluster.token_file")] = str(_make_token(self._ground.data_dir))
        command = role_command(role, self._ground.loaded.file, self._ground.data_dir)
        if role == "gateway":
            self._start_gateways(command, environ)
        else:
            self._children.start(role_service(role, command, environ))

    def _start_gateways(self, command: list[str], environ: dict[str, str]) -> None:
        """One for each socket; all get all of them, their own first."""
        fds = [server.fileno() for server in self._servers]
        if len(fds) > 1:
            # one port, so one /metrics: whichever of them answers tells the requests of all
            shared = run_dir(self._ground.data_dir) / "metrics"
            shutil.rmtree(shared, ignore_errors=True)
            shared.mkdir(mode=0o700)
            environ = {**environ, METRICS_DIR: str(shared)}
        for n, name in enumerate(gateway_names(len(fds))):
            told = [word for fd in fds[n:] + fds[:n] for word in ("--listen-fd", str(fd))]
            service = role_service("gateway", [*command, *told], environ, tuple(fds), name)
            self._children.start(service)

    async def _until_ready(self) -> None:
        """Wait until a prompt would run; tell what is missing when it takes long."""
        began = told_at = time.monotonic()
        while not self._stop.is_set():
            answer = await self._first_of(self._ask_ready())
            if answer is None and self._stop.is_set():
                return
            if answer is not None and answer[0] == 200:
                break
            now = time.monotonic()
            if now - told_at >= _PROGRESS_S:
                told_at = now
                missing = answer[1].decode(errors="replace") if answer else "the gateway starts"
                _say(f"starting ... {now - began:.0f} s: {missing.strip()[:100]}")
        self._ready.set()
        self._children.steady = True
        if self._source is not None and not self._stop.is_set():
            block = await ready_block(
                self._ground, self._url, self._redis_url, self._source, time.monotonic() - began
            )
            print(block, flush=True)

    async def _ask_ready(self) -> tuple[int, bytes] | None:
        host = self._url.removeprefix("http://").rpartition(":")[0].strip("[]")
        answer = await http_get(host, self._port, "/readyz", _READY_TIMEOUT_S)
        if answer is None or answer[0] != 200:
            await asyncio.sleep(_LOOK_S)
        return answer

    # ── while it runs ────────────────────────────────────────────────────────

    async def _first_of(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of ``work``, or None when we are told to stop before.

        Raises:
            CliError: a child cannot run at all.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        failure = self._children.failure
        try:
            await asyncio.wait({task, stop, failure}, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                raise CliError(failure.result())
            return task.result() if task.done() else None
        finally:
            for one in (task, stop):
                one.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def _on_signal(self) -> None:
        if self._stop.is_set():  # a second Ctrl-C: no more waiting
            self._children.kill_all()
        self._stop.set()

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._on_beside_done)

    def _on_beside_done(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", error=repr(error))

    def _note_state(self) -> None:
        if self._source is None:
            return
        write_state(
            self._ground.data_dir,
            RunState(
                pid=os.getpid(),
                gateway=self._url,
                dashboard=f"{self._url}/dashboard/",
                redis=self._redis_url,
                store=store_url(self._settings, self._ground.data_dir),
                runs_on=self._source.words,
                started=self._began,
                services=self._children.state(),
            ),
        )

    # ── stop ─────────────────────────────────────────────────────────────────

    async def _stop_all(self) -> None:
        """Gateway first, the queue's server last, nothing left behind."""
        began = time.monotonic()
        if self._stop.is_set():
            _say("stopping ...")
        for server in self._servers:
            server.close()
        for task in (beside := list(self._beside)):
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for role in STOP_ORDER:
            names = gateway_names(len(self._servers)) if role == "gateway" else [role]
            await asyncio.gather(*(self._children.stop(name) for name in names))
            if role == "agent" and (left := kill_left_workers(self._ground.data_dir)):
                log.warning("workers_killed", count=left)
        if self._valkey is not None:
            self._valkey.stop()
        self._book.close()
        if self._stop.is_set():
            _say(f"stopped after {time.monotonic() - began:.1f} s; nothing is left running")


@contextlib.contextmanager
def _folder(data_dir: Path) -> Iterator[None]:
    """Make the data folder and hold it: one instance on one folder.

    Raises:
        CliError: another instance holds it, or it cannot be made.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        run_dir(data_dir).mkdir(exist_ok=True, mode=0o700)
        lock = os.open(run_dir(data_dir) / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CliError(f"no data folder: {error}. Name another with --data-dir.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        state = read_state(data_dir)
        where = f" at {state.gateway} (process {state.pid})" if state else ""
        raise CliError(
            f"vramgate already runs on {data_dir}{where}. Stop it first, or give this one another "
            "folder with --data-dir."
        ) from error
    try:
        yield
    finally:
        os.close(lock)


def _make_token(data_dir: Path) -> Path:
    """The file with the cluster token, made at the first start."""
    file = token_file(data_dir)
    if not file.exists():
        fresh = file.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(secrets.token_urlsafe(32))
        fresh.replace(file)
    return file


def _say(text: str) -> None:
    """Progress and warnings go to stderr; stdout has the one block of URLs."""
    with contextlib.suppress(OSError):  # the terminal is gone; what runs goes on
        print(text, file=sys.stderr, flush=True)
