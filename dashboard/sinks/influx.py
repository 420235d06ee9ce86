"""Tells InfluxDB, 1 or 2, by line protocol: batched, repeated, and never in the recorder's way.

The recorder hands over rows and goes on. What waits is bounded: beyond it the oldest points are
dropped and counted, and so is what InfluxDB calls wrong.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from config.metrics import Influx
from dashboard.history.consume import Sleep
from dashboard.sinks.points import gpu_points, job_points, queue_points
from dashboard.sinks.toll import Toll

_log = structlog.get_logger()

#: Points wait at most so long for others to be sent with.
_GATHER_S: Final = 1.0
#: Pauses while it does not answer.
_BACK_OFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
_LONGEST_PAUSE_S: Final = 300.0
#: The points themselves are wrong, or too many at once; they would be so again.
_REFUSED: Final = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Target:
    """Where points go."""

    url: str
    query: Mapping[str, str]
    auth: aiohttp.BasicAuth | None
    headers: Mapping[str, str]


def target(settings: Influx) -> Target:
    """Where points go by these settings.

    Raises:
        OSError: the file with a secret cannot be read.
    """
    base = (settings.url or "").rstrip("/")
    if settings.bucket is not None:
        query = {"bucket": settings.bucket, "org": settings.org, "precision": "ns"}
        token = _secret(settings.token, settings.token_file)
        headers = {} if token is None else {"Authorization": f"Token {token}"}
        return Target(f"{base}/api/v2/write", query, None, headers)
    query = {"db": settings.database or "", "precision": "ns"}
    if settings.retention is not None:
        query["rp"] = settings.retention
    password = _secret(settings.password, settings.password_file)
    auth = None if settings.user is None else aiohttp.BasicAuth(settings.user, password or "")
    return Target(f"{base}/write", query, auth, {})


def _secret(value: str | None, file: Path | None) -> str | None:
    return file.read_text().strip() if value is None and file is not None else value


class InfluxSink:
    """Takes rows at once, and sends them when it can."""

    def __init__(
        self, settings: Influx, pool: str, toll: Toll, sleep: Sleep = asyncio.sleep
    ) -> None:
        """``pool``: a tag of every point; ``toll``: what was sent, and what was lost."""
        self._settings = settings
        self._pool = pool
        self._toll = toll
        self._sleep = sleep
        self._waiting: deque[str] = deque()
        self._sampled = -1
        self._batch = settings.batch

    def samples(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of one second: of GPUs, and one of the queue. Most seconds are left out."""
        every_ms = int(self._settings.every * 1000)
        if not rows or rows[-1]["at_ms"] // every_ms == self._sampled:
            return
        self._sampled = rows[-1]["at_ms"] // every_ms
        # a step's beginning is the same for all recorders
        at_ms = self._sampled * every_ms
        *gpus, queue = rows
        self._take([*gpu_points(gpus, self._pool, at_ms), *queue_points(queue, self._pool, at_ms)])

    def jobs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Jobs that have ended."""
        self._take([*job_points(rows, self._pool, users=self._settings.users)])

    def _take(self, lines: Sequence[str]) -> None:
        self._waiting.extend(lines)
        over = len(self._waiting) - self._settings.buffer
        for _ in range(over):
            self._waiting.popleft()
        if over > 0:
            self._toll.lost(over)

    async def run(self) -> None:
        """Send until cancelled."""
        async with aiohttp.ClientSession(
            timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            failures = 0
            while True:
                if not self._waiting:
                    await self._sleep(_GATHER_S)
                    continue
                pause = await self._send(session, failures)
                failures = failures + 1 if pause else 0
                if pause or len(self._waiting) < self._batch:
                    await self._sleep(pause or _GATHER_S)

    async def _send(self, session: aiohttp.ClientSession, failures: int) -> float:
        """Send one batch; seconds to wait before the next, 0: none."""
        lines = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        pause = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
        try:
            to = target(self._settings)
            async with session.post(
                to.url,
                params=to.query,
                data="\n".join(lines).encode("utf-8", "replace"),
                headers={"Content-Type": "text/plain; charset=utf-8", **to.headers},
                auth=to.auth,
                allow_redirects=False,
            ) as answer:
                if answer.status in (200, 204):
                    self._toll.sent(len(lines))
                    self._batch = min(self._settings.batch, 2 * self._batch)
                    return 0.0
                if answer.status in _REFUSED:
                    self._refused(lines, answer.status)
                    return 0.0
                _log.warning("influx_waits", status=answer.status, points=len(self._waiting))
                pause = max(pause, _asked_pause(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("influx_waits", error=type(error).__name__, points=len(self._waiting))
        except asyncio.CancelledError:
            self._keep(lines)
            raise
        self._keep(lines)
        return pause

    def _refused(self, lines: Sequence[str], status: int) -> None:
        """Some point is wrong, or there are too many: halve, so that no others are lost with it."""
        if len(lines) > 1:
            self._batch = len(lines) // 2
            self._keep(lines)
            return
        self._toll.lost(1)
        # neither the point nor the server's words, which quote it
        _log.warning("influx_refuses_a_point", status=status)

    def _keep(self, lines: Sequence[str]) -> None:
        """Not sent: they stay first, as far as there is room."""
        self._waiting.extendleft(reversed(lines))
        self._take(())


def _asked_pause(answer: aiohttp.ClientResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_PAUSE_S) if text.isascii() and text.isdigit() else 0.0
