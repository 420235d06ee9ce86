"""What the roles share: settings that follow their file, where the servers are, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from cli.allocator import share_arenas
from cli.errors import CliError
from cli.half_restored import refuse_half_restored
from cli.logs import set_up_logging
from cli.options import Ground
from cli.own_metrics import port_of, serve
from cli.runstate import read_state
from config.edits import with_edits
from config.settings import Settings
from scheduler.ledger import Ledger, LedgerUnavailable

if TYPE_CHECKING:
    from scheduler.redis_ledger import RedisLedger

log = structlog.get_logger()
#: Added users take effect at the latest after this; keys and revocations are pushed.
_OVERRIDES_EVERY_S = 5.0


def redis_url(settings: Settings, data_dir: Path) -> str:
    """``redis.url``, else the embedded server of the instance running on the data folder.

    Raises:
        CliError: there is neither.
    """
    if settings.redis.url:
        return settings.redis.url
    state = read_state(data_dir)
    if state is not None:
        return state.redis
    raise CliError(
        f"no Redis: nothing runs on {data_dir}. Start `vramgate up` first (or name its folder with "
        "--data-dir), or set redis.url in the config file."
    )


def connect_ledger(settings: Settings, url: str) -> RedisLedger:
    """The pool's ledger as the settings want it; it connects when it is first used."""
    from scheduler.redis_ledger import RedisLedger  # 200 ms that `up` itself need not wait for

    return RedisLedger.connect(
        url,
        settings.redis.pool,
        heartbeat_ms=int(settings.scheduler.heartbeat * 1000),
        max_losses=settings.scheduler.max_losses,
    )


async def check_layout(ledger: RedisLedger) -> None:
    """Bring the ledger's keys to this release's layout; every role does it when it starts.

    A server that is away is waited for by the role itself.

    Raises:
        CliError: the keys belong to a newer release.
    """
    from scheduler.redis_layout import NewerLayout

    try:
        had = await ledger.bring_up()
    except NewerLayout as error:
        raise CliError(str(error)) from error
    except LedgerUnavailable as error:
        log.warning("layout_not_checked", error=str(error))
    else:
        log.debug("layout_checked", had=had)


def store_url(settings: Settings, data_dir: Path) -> str:
    """``store.url``, else SQLite in the data folder."""
    return settings.store.url or f"sqlite:///{data_dir / 'vramgate.db'}"


def cluster_token(settings: Settings, data_dir: Path) -> str:
    """The token that gateways and agents show each other.

    Raises:
        CliError: there is none yet, or its file cannot be read.
    """
    if settings.cluster.token:
        return settings.cluster.token
    file = settings.cluster.token_file or token_file(data_dir)
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise CliError(
            f"no cluster token ({error}). Gateways and agents share one: set cluster.token_file to a "
            "file with at least 16 characters, the same on all hosts."
        ) from error
    if len(token) < 16:
        raise CliError(f"the cluster token in {file} is shorter than 16 characters; make a new one")
    return token


def token_file(data_dir: Path) -> Path:
    """Where ``vramgate up`` keeps the token it made."""
    return data_dir / "cluster.token"


class LiveSettings:
    """File and overrides together: the provider that roles hand to whoever needs settings."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._overrides: dict[str, str] = {}
        self._revision = -1
        self._base: Settings | None = None
        self._merged = ground.source.current()

    def __call__(self) -> Settings:
        """The settings now in force."""
        base = self._ground.source.current()
        if base is not self._base:
            self._base = base
            self._merged = with_edits(base, self._overrides)
        return self._merged

    async def follow(self, ledger: Ledger) -> None:
        """Keep up with overrides until cancelled."""
        while True:
            await self.read(ledger)
            await asyncio.sleep(_OVERRIDES_EVERY_S)

    async def read(self, ledger: Ledger) -> None:
        """Read the overrides once; a server that is away changes nothing."""
        try:
            revision, overrides = await ledger.overrides()
        except LedgerUnavailable as error:
            log.warning("overrides_stale", error=str(error))
            return
        if revision != self._revision:
            self._revision, self._overrides, self._base = revision, dict(overrides), None


def run_role(role: str, ground: Ground, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a role until SIGTERM or Ctrl-C; ``work`` is cancelled then and may clean up."""
    refuse_half_restored(ground.data_dir)
    share_arenas()
    set_up_logging(ground.source.current().log, role)
    with (
        contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt),
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(_until_told(role, ground, work))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where that is installed (docs/performance.md); None: Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_told(
    role: str, ground: Ground, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    task = asyncio.create_task(work())
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # once: a second signal must not break off the tidying up
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    beside = [asyncio.create_task(ground.source.watch())]
    if (port := port_of(role, ground.source.current().metrics)) is not None:
        beside.append(asyncio.create_task(serve(role, port, ground.source.current)))
    log.info("started", pid=os.getpid())
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped")
    finally:
        for one in beside:
            one.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def together(*work: Awaitable[None]) -> None:
    """Run all until one ends or fails; the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
