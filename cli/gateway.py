"""``vramgate gateway``: the door that clients come through, and the dashboard."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.allocator import keep_freed
from cli.boot import (
    check_layout,
    cluster_token,
    connect_ledger,
    redis_url,
    run_role,
    store_url,
    together,
)
from cli.listening import listen
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.standby import Standby
from cli.trial import trier
from cli.version import own_version
from cli.what_if_queue import asking
from config.loading import Option
from config.problems import ConfigError, Problem
from config.settings import Role

if TYPE_CHECKING:
    from aiohttp import web


def gateway(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    listen_fd: Annotated[
        list[int] | None,
        typer.Option(hidden=True, help="Listening sockets handed over by `up`, its own first."),
    ] = None,
) -> None:
    """Serve ComfyUI's API and the dashboard to clients. Any number may run side by side.

    Needs redis.url (or a running `vramgate up` on the same --data-dir), a store that all
    gateways share, and the cluster token.

    [bold]Example[/bold]: vramgate gateway --config vramgate.yaml --host 0.0.0.0 --port 8288
    """
    options = [
        Option(path, value, name)
        for path, value, name in (
            ("gateway.host", host, "--host"),
            ("gateway.port", port, "--port"),
        )
        if value is not None
    ]
    ground = read_ground(config, data_dir, options)
    settings = ground.source.current().gateway
    _check_frontend(settings.frontend_root)
    if listen_fd:
        server, *others = [socket.socket(fileno=number) for number in listen_fd]
    else:
        server, others = listen(settings.host, settings.port), []
    keep_freed()
    run_role("gateway", ground, lambda: serve(ground, server, others))


def _check_frontend(root: Path | None) -> None:
    """Only this role needs the folder, so only this role looks for it.

    Raises:
        ConfigError: there is no UI in it.
    """
    from gateway.frontend import no_page_in

    wrong = None if root is None else no_page_in(root)
    if wrong is not None:
        raise ConfigError([Problem("", "gateway.frontend_root", wrong)])


async def serve(ground: Ground, server: socket.socket, others: Sequence[socket.socket]) -> None:
    """Serve on a listening socket until cancelled; on other gateways' where they do not."""
    from cli.operations import operations
    from dashboard import app as dashboard
    from dashboard.description import describe
    from dashboard.metrics.description import describe as describe_metrics
    from dashboard.metrics.page import MetricsPage
    from dashboard.reading import reading
    from gateway.announce import address
    from gateway.app import build, make_services
    from gateway.captures import capture
    from gateway.request_metrics import RequestMetrics
    from store.archive import SqlArchive
    from store.documents import SqlDocuments
    from store.engine import open_engine
    from store.input_files import SqlInputFiles
    from store.migrate import migrate
    from store.tallies import SqlTallies

    settings = ground.source.current
    token = cluster_token(settings(), ground.data_dir)
    port = server.getsockname()[1]
    files = ground.data_dir / "files"
    await asyncio.to_thread(files.mkdir, parents=True, exist_ok=True)
    engine = open_engine(store_url(settings(), ground.data_dir))
    ledger = connect_ledger(settings(), redis_url(settings(), ground.data_dir))
    try:
        await migrate(engine)
        await check_layout(ledger)
        services = make_services(
            settings=settings,
            ledger=ledger,
            archive=SqlArchive(engine, time.time),
            documents=SqlDocuments(engine, time.time),
            input_files=SqlInputFiles(engine, time.time),
            files_dir=files,
            cluster_token=token,
            url=lambda: address(settings(), port),
        )
        kept = reading(engine, time.time, lambda: uuid.uuid4().hex)
        pages = dashboard.build(
            ledger,
            services.settings,
            _who,
            try_out=trier(services),
            reading=kept,
            ask_what_if=asking(ground),
            progress=services.standings,
            captures=partial(capture, services.agents),
            operations=operations(ground, ledger, engine, token),
        )
        requests = RequestMetrics()
        metrics = MetricsPage(
            pages[dashboard.SAMPLER],
            ledger,
            SqlTallies(engine),
            services.settings,
            version=own_version(),
            may=may_scrape,
            own=requests.registry,
            alerts=kept.alerts,
        )
        app = build(
            services,
            cluster_token=token,
            extra_apps={"/dashboard": pages, "/metrics": metrics.app()},
            described={"/dashboard": describe(), "/metrics": describe_metrics()},
            requests=requests,
            version=own_version(),
        )
        await _serve_app(app, server, others)
    finally:
        await ledger.close()
        await engine.dispose()


def _who(request: web.Request) -> tuple[str, Role]:
    """The dashboard may not know the gateway: tell it who asks."""
    from gateway.context import identity

    asking = identity(request)
    return asking.user, asking.role


def may_scrape(request: web.Request) -> bool:
    """Admins, and whoever shows the metrics token."""
    from gateway.context import Credential, identity

    asking = identity(request)
    return asking.role is Role.ADMIN or asking.credential is Credential.METRICS


async def _serve_app(
    app: web.Application, server: socket.socket, others: Sequence[socket.socket]
) -> None:
    from aiohttp import web

    from gateway.app import runner
    from gateway.context import SERVICES
    from gateway.personal_ports import PersonalPorts

    running = runner(app)
    await running.setup()
    try:
        await web.SockSite(running, server).start()
        assert running.server is not None  # noqa: S101 - made by setup
        beside = [PersonalPorts(running, app[SERVICES].settings).follow()]
        if others:
            beside.append(Standby(others, running.server).run())
        await together(*beside)  # until cancelled
    finally:
        await running.cleanup()
