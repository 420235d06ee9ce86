"""Where a soak takes place, and who is no artist: scripts, and clients that do not read."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from bench.soak_books import Books, Posted
from tests.clients import image_prompt

_POLL_S: Final = 0.3
_RETRY_S: Final = 0.2
#: bytes that a client which does not read lets its kernel take
_DEAF_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a key."""

    name: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The credential."""
        return {"Authorization": f"Bearer {self.key}"}


class Studio:
    """What everybody shares: where it is, how fast time passes, the books.

    Args:
        url: the gateways'.
        users: who there is.
        books: gets what they do.
        speedup: simulated seconds per second.
        seed: of everything that is drawn.
    """

    def __init__(
        self, url: str, users: list[User], books: Books, *, speedup: float, seed: int
    ) -> None:
        self.url = url
        self.users = users
        self.books = books
        self.random = random.Random(seed)
        #: nobody posts any more, all go home
        self.closing = asyncio.Event()
        #: who sits at a browser now: client id → user
        self.pages: dict[str, User] = {}
        self._speedup = speedup
        self._colours = 0

    async def wait(self, mean_s: float) -> None:
        """Let simulated time pass: so long on average, exponentially drawn; less when it closes."""
        await self.until_closing(self.random.expovariate(1 / mean_s) / self._speedup)

    async def until_closing(self, seconds: float) -> None:
        """Wait real seconds, or until the studio closes; others get their turn even then."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    def colour(self) -> int:
        """A colour that no other prompt has."""
        self._colours += 1
        return self._colours

    async def get(self, http: aiohttp.ClientSession, path: str, **params: str) -> bytes | None:
        """The body, None for a 404; anything else is wrong. Asked again where the line breaks."""
        while True:
            try:
                async with http.get(self.url + path, params=params) as answer:
                    body = await answer.read()
            except (aiohttp.ClientError, OSError):
                self.books.counts["get_again"] += 1
                await asyncio.sleep(_RETRY_S)
                continue
            if answer.status in (200, 404):
                return body if answer.status == 200 else None
            self.books.wrong("get_refused", f"{answer.status} for {path}: {body[:100]!r}")
            return None

    async def post(
        self, http: aiohttp.ClientSession, user: User, colour: int, prompt: Any, **more: Any
    ) -> Posted | None:
        """Post once, however often it takes; None: it was refused."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"prompt": prompt, **more}
        while True:
            try:
                async with http.post(self.url + "/prompt", json=body, headers=headers) as answer:
                    said = await answer.read()
            except (aiohttp.ClientError, OSError):
                self.books.counts["post_again"] += 1
                await asyncio.sleep(_RETRY_S)
                continue
            if answer.status == 200:
                return self.books.posted(user.name, json.loads(said)["prompt_id"], colour)
            self.books.wrong("post_refused", f"{answer.status}: {said[:200]!r}")
            return None

    async def look_at(self, http: aiohttp.ClientSession, job: Posted) -> None:
        """Open the picture of a prompt that has ended well, and see whose it is."""
        found = json.loads(await self.get(http, f"/history/{job.prompt_id}") or b"{}")
        image = self.books.image(job, found.get(job.prompt_id))
        if image is None:
            return
        if self.random.random() < 0.5:
            await self.get(http, "/view", **image, preview="webp;80")
        picture = await self.get(http, "/view", **image)
        self.books.check_picture(job, picture or b"")
        self.books.counts["viewed"] += 1

    @asynccontextmanager
    async def session(self, user: User) -> AsyncIterator[aiohttp.ClientSession]:
        """Connections of one machine."""
        connector = aiohttp.TCPConnector(limit=6)  # as browsers have per host
        async with aiohttp.ClientSession(connector=connector, headers=user.headers) as http:
            yield http


class Script:
    """Posts and asks the history until it is there, all day long."""

    def __init__(self, studio: Studio, user: User) -> None:
        self._studio = studio
        self._user = user

    async def run(self) -> None:
        """Until the studio closes."""
        while not self._studio.closing.is_set():
            async with self._studio.session(self._user) as http:
                await self._turn(http)
            await self._studio.wait(120)

    async def _turn(self, http: aiohttp.ClientSession) -> None:
        colour = self._studio.colour()
        prompt = image_prompt(colour, prefix="script")
        job = await self._studio.post(http, self._user, colour, prompt)
        while job is not None and not self._studio.closing.is_set():
            found = json.loads(await self._studio.get(http, f"/history/{job.prompt_id}") or b"{}")
            if job.prompt_id in found:
                await self._studio.look_at(http, job)
                return
            await asyncio.sleep(_POLL_S)


class Deaf:
    """Opens a second tab of somebody's page and hardly reads what comes, or nothing of it."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def run(self) -> None:
        """Until the studio closes."""
        while not self._studio.closing.is_set():
            pages = list(self._studio.pages.items())
            if pages:
                await self._sit(*self._studio.random.choice(pages))
            await self._studio.wait(5 * 60)

    async def _sit(self, client_id: str, user: User) -> None:
        where = URL(self._studio.url)
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DEAF_BYTES)
        wire.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(wire, (where.host, where.port))
            await loop.sock_sendall(wire, _handshake(client_id, user))
            sips = self._studio.random.choice((0, 1, 20))
            leaves = asyncio.create_task(self._studio.wait(60 * 60))
            while not leaves.done():
                if sips:
                    wire_read = asyncio.wait_for(loop.sock_recv(wire, _DEAF_BYTES * sips), 1)
                    try:
                        if not await wire_read:
                            break
                    except TimeoutError:
                        pass
                await self._studio.until_closing(0.5)
            leaves.cancel()
            self._studio.books.counts["deaf_sittings"] += 1
        except OSError:  # it is cut off when it is too far behind
            self._studio.books.counts["deaf_cut_off"] += 1
        finally:
            wire.close()


def _handshake(client_id: str, user: User) -> bytes:
    lines = [
        f"GET /ws?clientId={client_id} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *(f"{name}: {value}" for name, value in user.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
