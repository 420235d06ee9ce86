"""A role's own figures, on a port of its own: whether it runs, and what its process takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from cli.version import own_version
from config.metrics import Metrics
from config.settings import Settings

_log = structlog.get_logger()
_SHUTDOWN_S: Final = 0.5


def port_of(role: str, metrics: Metrics) -> int | None:
    """The port that the settings give a role; None: none."""
    ports = {
        "scheduler": metrics.scheduler_port,
        "agent": metrics.agent_port,
        "recorder": metrics.recorder_port,
    }
    return ports.get(role)


async def serve(role: str, port: int, settings: Callable[[], Settings]) -> None:
    """Answer scrapes until cancelled; where the port is taken, say so and let the role work."""
    from aiohttp import hdrs, web
    from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    from gateway.metrics_token import PATH, opens

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    info = Gauge("vramgate_build_info", "What runs.", ("version", "role"), registry=registry)
    info.labels(own_version(), role).set(1)

    async def show(request: web.Request) -> web.Response:
        metrics = settings().metrics
        _, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if metrics.has_token and not opens(metrics, shown.strip()):
            return web.Response(status=401, text="Show metrics.token: Authorization: Bearer …\n")
        headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    app = web.Application()
    app.router.add_get(PATH, show)
    running = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await running.setup()
    try:
        await web.TCPSite(running, settings().metrics.host, port).start()
        await asyncio.Event().wait()
    except OSError as error:
        _log.error("metrics_port_not_served", role=role, port=port, error=error.strerror)
    finally:
        await running.cleanup()
