"""The dashboard's API for commands: a gateway's over HTTP, or its own over Redis and the store.

Both answer alike. The second is served on a Unix socket in a folder that nobody else can open, for
as long as the command runs, and whoever can read Redis and the store is an admin there.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import typer
from aiohttp import hdrs, web

from cli.boot import connect_ledger, redis_url, store_url
from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from config.settings import Role

T = TypeVar("T")
Json = dict[str, Any]

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Ask this gateway, with the key in $VRAMGATE_KEY or --key-file; unset: ask Redis and "
        "the store themselves.",
    ),
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="With --url: file with the key.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the API's own answer (docs/api.md).")
]
_KEY_VARIABLE: Final = "VRAMGATE_KEY"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
#: Who a command is that asks Redis and the store: what it changes, nobody's page did.
_ADMIN: Final = ("vramgate", Role.ADMIN)
_REFUSED: Final = {
    401: "the key is not valid: set VRAMGATE_KEY, or --key-file",
    302: "a key is needed: set VRAMGATE_KEY, or --key-file",
}

_LOOK: Final = "Is --url what `vramgate up` printed, without a path, and does it run?"


@dataclass(frozen=True, slots=True)
class Where:
    """What a command asks, by its options."""

    ground: Ground
    url: str | None
    key: str | None


def where(
    url: str | None, key_file: Path | None, config: ConfigOption, data_dir: DataDirOption
) -> Where:
    """Read the options.

    Raises:
        UsageError: they do not go together.
        CliError: the key's file cannot be read.
    """
    if url is None:
        if key_file is not None:
            raise UsageError("--key-file belongs to --url")
        return Where(read_ground(config, data_dir), None, None)
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url}: write http://host:port or https://host")
    key = os.environ.get(_KEY_VARIABLE)
    if key_file is not None:
        try:
            key = key_file.read_text().strip()
        except OSError as error:
            raise CliError(f"--key-file: {error}") from error
    return Where(read_ground(config, data_dir), url, key)


class Api:
    """``/dashboard/api/v1`` of one gateway."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def get(self, *path: str, **query: str | int | None) -> Json:
        """What a GET answers; query words that are None are left out.

        Raises:
            CliError: it answers with a refusal, or not at all.
        """
        told = {name.rstrip("_"): str(one) for name, one in query.items() if one is not None}
        return await self._ask("GET", path, told)

    async def post(self, *path: str, **query: str | None) -> Json:
        """What a POST without a body answers. Raises as ``get``."""
        told = {name: one for name, one in query.items() if one is not None}
        return await self._ask("POST", path, told)

    @asynccontextmanager
    async def live(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The live page's socket. Raises as ``get``."""
        try:
            async with self._session.ws_connect(
                f"{self._base}/live", heartbeat=20.0, max_msg_size=0
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            raise CliError(
                _REFUSED.get(error.status, f"the gateway answered {error.status}")
            ) from (error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CliError(f"the gateway does not answer: {error}. {_LOOK}") from error

    async def _ask(self, method: str, path: tuple[str, ...], query: Mapping[str, str]) -> Json:
        url = "/".join([self._base, *(quote(part, safe="") for part in path)])
        try:
            async with self._session.request(
                method, url, params=query, allow_redirects=False
            ) as answer:
                body = await answer.json(content_type=None) if answer.status != 302 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise CliError(f"the gateway does not answer: {error}. {_LOOK}") from error
        if answer.status != 200:
            told = body.get("error") if isinstance(body, dict) else None
            known = _REFUSED.get(answer.status)
            raise CliError(known or (told if isinstance(told, str) else _no_api(answer.status)))
        found: Json = body
        return found


def _no_api(status: int) -> str:
    return f"no vramgate answers there, but HTTP {status}. {_LOOK}"


def ask(place: Where, do: Callable[[Api], Awaitable[T]]) -> T:
    """Do it with the API.

    Raises:
        CliError: what is needed does not answer.
    """

    async def run() -> T:
        async with opened(place) as api:
            return await do(api)

    return asyncio.run(run())


@asynccontextmanager
async def opened(place: Where) -> AsyncIterator[Api]:
    """The API for a while."""
    async with AsyncExitStack() as stack:
        if place.url is not None:
            headers = {hdrs.AUTHORIZATION: f"Bearer {place.key}"} if place.key else {}
            session = aiohttp.ClientSession(
                headers=headers, timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
            )
            base = place.url.rstrip("/")
        else:
            path = await _serve(stack, place.ground)
            connector = aiohttp.UnixConnector(path=path)
            session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
            base = "http://vramgate"
        yield Api(await stack.enter_async_context(session), f"{base}/dashboard/api/v1")


async def _serve(stack: AsyncExitStack, ground: Ground) -> str:
    """Serve the API over Redis and the store; where."""
    from dashboard import app as dashboard
    from dashboard.reading import reading
    from store.engine import open_engine

    settings = ground.source.current()
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    stack.push_async_callback(ledger.close)
    engine = open_engine(store_url(settings, ground.data_dir))
    stack.push_async_callback(engine.dispose)
    pages = dashboard.build(
        ledger,
        ground.source.current,
        lambda request: _ADMIN,
        reading=reading(engine, time.time, lambda: uuid.uuid4().hex),
    )
    app = web.Application()
    app.add_subapp("/dashboard", pages)
    running = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await running.setup()
    stack.push_async_callback(running.cleanup)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vramgate-"))
    path = str(Path(folder) / "api")
    await web.UnixSite(running, path).start()
    return path
