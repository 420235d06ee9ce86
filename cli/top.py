"""``vramgate top``: the pool, live on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

import aiohttp
import typer

from cli.api_client import Api, KeyFileOption, UrlOption, Where, opened, where
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption

_AGAIN_S: Final = 2.0
#: Seconds that the first figures may take.
_FIRST_S: Final = 20.0
_QUIT: Final = frozenset("qQ\x03\x1b")


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Show it once and leave; so where this is no terminal.")
    ] = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Watch GPUs, running jobs with the node that each is at, and what waits. q leaves.

    Which node a job is at is known to gateways alone: name one with --url to see it.

    [bold]Example[/bold]: vramgate top --url http://gpubox:8288
    """
    place = where(url, key_file, config, data_dir)
    live = not once and sys.stdin.isatty() and sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(place) if live else _once(place))


async def _once(place: Where) -> None:
    from rich.console import Console

    from cli.top_view import Pool, screen

    pool = Pool()
    async with opened(place) as api:
        try:
            async with asyncio.timeout(_FIRST_S), api.live() as socket:
                async for message in _messages(socket):
                    if pool.hear(message):
                        break
        except TimeoutError as error:
            raise CliError("no figures came; does the gateway's Redis answer?") from error
    if pool.trouble:
        raise CliError(pool.trouble)
    Console().print(screen(pool))


async def _watch(place: Where) -> None:
    from rich.live import Live

    from cli.top_view import Pool, screen

    pool, left = Pool(), asyncio.Event()
    with Live(screen(pool), screen=True, auto_refresh=False) as live, _keys(left):

        def draw() -> None:
            live.update(screen(pool, live.console.size.height), refresh=True)

        async with opened(place) as api:
            following = asyncio.create_task(_follow(api, pool, draw))
            leaving = asyncio.create_task(left.wait())
            done, _ = await asyncio.wait({following, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, leaving):
                task.cancel()
            await asyncio.gather(following, leaving, return_exceptions=True)
            if following in done:
                following.result()


async def _follow(api: Api, pool: Any, draw: Any) -> None:
    """Draw whatever changes; connect anew when the line goes, as the gateway asks now and then.

    Raises:
        CliError: there was never a line.
    """
    heard = False
    while True:
        try:
            async with api.live() as socket:
                async for message in _messages(socket):
                    heard = True
                    if pool.hear(message):
                        draw()
        except CliError as error:
            if not heard:
                raise
            pool.trouble = f"{error}; trying again"
            draw()
        await asyncio.sleep(_AGAIN_S)


async def _messages(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[dict[str, Any]]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            yield message.json()


@contextlib.contextmanager
def _keys(left: asyncio.Event) -> Iterator[None]:
    """Keys as they are pressed; q sets ``left``."""
    import termios
    import tty

    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(stdin)

    def read() -> None:
        if _QUIT & set(sys.stdin.read(1)):
            left.set()

    tty.setcbreak(stdin)
    loop.add_reader(stdin, read)
    try:
        yield
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
