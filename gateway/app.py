"""Builds the gateway: services, routes, middlewares, and what runs beside them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from config.settings import Settings
from config.tls import trusting
from gateway import cluster_api, entrance, events, frontend, health, login, own_files
from gateway.agents import Agents
from gateway.announce import announce
from gateway.answers import Answers
from gateway.attempts import ATTEMPTS, Attempts
from gateway.auth import authenticate
from gateway.blobs import Blobs
from gateway.cluster_api import CLUSTER_TOKEN
from gateway.comfy_api import (
    files,
    history,
    info,
    jobs,
    krita,
    logs,
    newer,
    prompt,
    queue,
    uploads,
    userdata,
)
from gateway.context import SERVICES, Services
from gateway.door import DOOR, Door, refresh_overrides
from gateway.edge import add_headers, outermost
from gateway.effective import EffectiveSettings
from gateway.exchange import Exchange
from gateway.hub import Hub
from gateway.info import WorkerInfo
from gateway.learned import Learned
from gateway.mates import Mates
from gateway.near_files import NearFiles
from gateway.openapi import serve as openapi
from gateway.openapi.document import document
from gateway.packs.serve import PACK_TABLE, PackTable, node_packs
from gateway.peers import Peers
from gateway.pool_count import PoolCount
from gateway.ports import Archive, Documents, InputFiles
from gateway.request_metrics import RequestMetrics
from gateway.revocation import OPEN_SOCKETS, OpenSockets, close_revoked
from gateway.roster import Rosters
from gateway.standings import Standings
from gateway.tickets import Tickets
from gateway.waiting_room import WAITING_ROOM, WaitingRoom
from gateway.websocket import handle as websocket
from gateway.worker_ui import WORKER_UI, WorkerUi
from scheduler.ledger import Ledger

_COMFY_API: Final = (files, history, info, jobs, newer, prompt, queue, uploads, userdata)
#: takes what no other route has, and how aiohttp writes that
_LAST_PATH: Final = "/{path:.*}"
_LAST: Final = "/{path}"
#: seconds that running requests get when the gateway stops
_SHUTDOWN_S: Final = 5.0


def make_services(
    *,
    settings: Callable[[], Settings],
    ledger: Ledger,
    archive: Archive,
    documents: Documents,
    input_files: InputFiles,
    files_dir: Path,
    cluster_token: str,
    url: Callable[[], str | None] = lambda: None,
    clock: Callable[[], float] = time.time,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Services:
    """Build what handlers work with.

    Args:
        settings: the settings now in force; called often, must be cheap.
        ledger: the pool's ledger.
        archive: ended jobs beyond the ledger's window.
        documents: settings and userdata.
        input_files: names of uploads.
        files_dir: folder for uploaded bytes, shared by the gateways of a host.
        cluster_token: what agents and gateways show each other.
        url: base URL for agents and other gateways, None while it is not known; it is
            announced to them.
        clock: seconds since the epoch.
        new_id: a fresh lowercase uuid4.
    """
    effective = EffectiveSettings(settings)
    tls = trusting(effective().cluster)
    agents = Agents(ledger, cluster_token, clock, lambda: effective().scheduler.heartbeat, tls)
    blobs, mates = Blobs(files_dir), Mates(effective)
    return Services(
        settings=effective,
        ledger=ledger,
        archive=archive,
        documents=documents,
        input_files=input_files,
        blobs=blobs,
        peers=Peers(agents, blobs, url),
        agents=agents,
        near=NearFiles(agents, clock),
        info=WorkerInfo(agents, ledger, input_files, mates, clock),
        hub=Hub(),
        answers=Answers(ledger, clock),
        rosters=Rosters(ledger),
        standings=Standings(clock),
        pool_count=PoolCount(ledger, clock),
        learned=Learned(ledger),
        exchange=Exchange(),
        mates=mates,
        clock=clock,
        new_id=new_id,
    )


def build(
    services: Services,
    *,
    cluster_token: str,
    extra_apps: Mapping[str, web.Application] | None = None,
    described: Mapping[str, Mapping[str, Any]] | None = None,
    requests: RequestMetrics | None = None,
    version: str = "unknown",
) -> web.Application:
    """The whole gateway as one application.

    Args:
        services: from ``make_services``.
        cluster_token: what agents must show.
        extra_apps: further applications by prefix, e.g. ``/dashboard``; they are behind the
            same authentication and find the identity on the request.
        described: what ``extra_apps`` answer, by the same prefix: OpenAPI's ``paths`` and
            ``schemas``.
        requests: counts what is answered; None: nobody does.
        version: this program's, for the description.

    Raises:
        ValueError: the cluster token is empty.
    """
    if not cluster_token:
        raise ValueError("the cluster token is empty; set cluster.token or cluster.token_file")
    measured = [] if requests is None else [requests.middleware()]
    app = web.Application(
        middlewares=[*measured, outermost, authenticate, node_packs(_LAST)],
        client_max_size=services.settings().gateway.max_body,
    )
    app[SERVICES] = services
    app[CLUSTER_TOKEN] = cluster_token
    app[DOOR] = Door(services.settings, services.ledger, services.clock)
    app[ATTEMPTS] = Attempts(services.clock)
    app[WAITING_ROOM] = WaitingRoom(Tickets(services.ledger, services.clock), app[DOOR])
    app[OPEN_SOCKETS] = OpenSockets()
    app[WORKER_UI] = WorkerUi(services.agents, services.clock)
    app[PACK_TABLE] = PackTable()
    app[openapi.DESCRIPTION] = msgspec.json.encode(document(version, described or {}))
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(entrance.hand_over)
    app.on_shutdown.append(_close_sockets)
    app.cleanup_ctx.append(_running)
    _add_routes(app, extra_apps or {})
    return app


def runner(app: web.Application) -> web.AppRunner:
    """A runner without access log: its lines would hold personal URLs and tokens."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)


def _add_routes(app: web.Application, extra_apps: Mapping[str, web.Application]) -> None:
    app.add_routes([*health.routes(), *login.routes(), *cluster_api.routes()])
    app.add_routes([*own_files.routes(), *openapi.routes(), *krita.routes()])
    app.add_routes([*info.internal_routes(), *logs.internal_routes(), *info.api_only_routes()])
    bare = [route for part in _COMFY_API for route in part.routes()]
    bare.append(web.get("/ws", websocket))
    app.add_routes(bare)
    app.add_routes(
        [web.RouteDef(one.method, "/api" + one.path, one.handler, one.kwargs) for one in bare]
    )
    for prefix, extra in extra_apps.items():
        app.add_subapp(prefix, extra)
    app.router.add_route("*", "/internal{tail:(/.*)?}", info.no_internal)
    app.router.add_get("/api/", frontend.serve)
    app.router.add_get(_LAST_PATH, frontend.serve)


async def _close_sockets(app: web.Application) -> None:
    """Before running requests are waited for: an open socket is one that never ends."""
    app[SERVICES].hub.close()
    app[WAITING_ROOM].close()


def _announced(services: Services) -> Coroutine[Any, Any, None]:
    here, announced = services.peers.here, services.hub.announced
    return announce(services.ledger, services.new_id(), here, announced)


async def _running(app: web.Application) -> AsyncIterator[None]:
    services, room = app[SERVICES], app[WAITING_ROOM]
    following = await events.start(services, lambda: refresh_overrides(app), room.heard)
    beside = {
        asyncio.create_task(work, name=name)
        for name, work in (
            ("announce", _announced(services)),
            ("close revoked sockets", close_revoked(app[DOOR], services.hub, app[OPEN_SOCKETS])),
            ("keep tickets", room.keep()),
        )
    }
    for task in beside:
        task.add_done_callback(events.tell_if_dead)
    yield
    for task in beside:
        task.cancel()
    await asyncio.wait(beside)
    await following.stop()
    await services.info.close()
    await services.peers.close()
    await services.agents.close()
