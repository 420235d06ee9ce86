"""What requests of this process came to: how many, and how long they took."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.browser_rules import is_socket

#: where the gateways of one port keep their counts together: whichever is asked tells all of them
SHARED_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
#: seconds: a prompt should be accepted within 3 ms (p50) and 15 ms (p99)
_BUCKETS: Final = (
    0.001, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OPEN: Final[web.RequestKey[bool]] = web.RequestKey("open", bool)
_MEASURED: Final[web.ResponseKey[bool]] = web.ResponseKey("measured", bool)
_INTERNAL_ERROR: Final = 500


class RequestMetrics:
    """Counters of this process, or of all gateways that share a folder of counts."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self._requests = Counter(
            "vramgate_http_requests",
            "Requests that were answered. Routes are patterns, never what was asked for.",
            ("method", "route", "code"),
            registry=own,
        )
        self._seconds = Histogram(
            "vramgate_http_request_duration_seconds",
            "From a request's head until its answer's end; sockets do not count.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=own,
        )
        self._sockets = Gauge(
            "vramgate_client_sockets",
            "WebSockets of clients that are open.",
            multiprocess_mode="livesum",
            registry=own,
        )
        if SHARED_DIR in os.environ:
            _forget_dead(Path(os.environ[SHARED_DIR]))
            self.registry = CollectorRegistry()
            MultiProcessCollector(self.registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=own)
            PlatformCollector(registry=own)

    def middleware(self) -> Middleware:
        """The outermost one."""

        @web.middleware
        async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
            if is_socket(request.headers):
                if _OPEN in request:  # of a personal URL, and counted outside
                    return await handler(request)
                request[_OPEN] = True
                with self._sockets.track_inprogress():
                    return await handler(request)
            began, code = time.perf_counter(), _INTERNAL_ERROR
            counts = True
            try:
                response = await handler(request)
                code = response.status
                # a request of a personal URL comes through here twice: inside, its route is known
                counts = _MEASURED not in response
                response[_MEASURED] = True
                return response
            except web.HTTPException as error:
                code = error.status
                raise
            finally:
                if counts:
                    self._took(request, code, time.perf_counter() - began)

        return measure

    def _took(self, request: web.Request, code: int, seconds: float) -> None:
        method = request.method if request.method in _METHODS else "other"
        resource = request.match_info.route.resource
        route = "none" if resource is None else resource.canonical
        self._requests.labels(method, route, str(code)).inc()
        self._seconds.labels(method, route).observe(seconds)


def _forget_dead(folder: Path) -> None:
    """Sockets of a gateway that was killed are not open any more; its counts stay."""
    for file in folder.glob("gauge_live*_*.db"):
        with suppress(FileNotFoundError):  # another gateway starts, too
            try:
                os.kill(int(file.stem.rpartition("_")[2]), 0)
            except ProcessLookupError:
                file.unlink()
