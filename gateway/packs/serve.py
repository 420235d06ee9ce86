"""Routes of node packs: found in the rows in force, checked, sent to the right worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from config.packs import Access
from config.settings import Gateway, Role
from gateway.browser_rules import SAFE_METHODS
from gateway.comfy_api.files import named_file, output_record, stored_file
from gateway.context import Credential, Identity, has_identity, identity, services
from gateway.errors import BadRequest, Forbidden, Unavailable, UpstreamDown
from gateway.packs.calls import ask, reply
from gateway.packs.presets import PACKS
from gateway.packs.rows import Row, Table, query_of
from scheduler.states import JobState, Worker

#: where an admin names the worker that a route of a pack acts on
WORKER_HEADER: Final = "X-Vramgate-Worker"
_WORKER_QUERY: Final = "worker"
#: the browser UI's own calls carry it; no link, picture or form of another site can
_UI_HEADER: Final = "Comfy-User"
_RETRY_AFTER: Final[Mapping[str, str]] = {hdrs.RETRY_AFTER: "5"}


class PackTable:
    """The rows that the settings name; made anew when they change."""

    def __init__(self) -> None:
        self._of: Gateway | None = None
        self._table = Table(())

    def of(self, settings: Gateway) -> Table:
        """The table for these settings."""
        if self._of is not settings:
            rows = [row for name in settings.packs for row in PACKS[name].rows]
            own = [Row(one.method, one.path, one.access) for one in settings.routes]
            self._of, self._table = settings, Table([*own, *rows])
        return self._table


PACK_TABLE: Final[web.AppKey[PackTable]] = web.AppKey("pack_table", PackTable)


def node_packs(last: str) -> Middleware:
    """The innermost middleware: what no handler has may be a pack's.

    Args:
        last: canonical path of the route that takes all that is left.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        known = request.match_info.http_exception is None and (
            resource is not None and resource.canonical != last
        )
        if known or not has_identity(request):
            return await handler(request)
        table = request.app[PACK_TABLE].of(services(request).settings().gateway)
        found = table.find(request.method, request.rel_url.raw_path)
        if found is None:
            return await handler(request)
        if found.row is None:
            raise web.HTTPMethodNotAllowed(request.method, sorted(found.methods))
        return await _serve(request, found.row)

    return middleware


async def _serve(request: web.Request, row: Row) -> web.StreamResponse:
    who = identity(request)
    if row.access is Access.ADMIN:
        _check_admin(request, who)
    query = query_of(row, request.query)
    if query is None:
        raise BadRequest("This route of a node pack is not open for such a parameter.")
    body = None if request.method in SAFE_METHODS else await request.read()
    match row.access:
        case Access.IGNORED:
            return web.Response()
        case Access.READ:
            return await _from_any(request, row, query, body)
        case Access.OWN_FILE:
            return await _of_file(request, row, query, body)
        case Access.OWN_PROMPT:
            return await _to_prompt(request, row, query, body)
        case Access.ADMIN:
            worker = await _named_worker(request)
            query.pop(_WORKER_QUERY, None)
            answer = await ask(services(request).agents, request, worker, query, body)
            return await reply(request, answer)


def _check_admin(request: web.Request, who: Identity) -> None:
    """An admin, and meant: a GET of a pack may restart a worker.

    Raises:
        Forbidden: no admin, or perhaps another site's page in an admin's browser.
    """
    if who.role is not Role.ADMIN:
        raise Forbidden("This route of a node pack is for admins.")
    if not who.credential.ambient:
        return
    site = request.headers.get("Sec-Fetch-Site")
    # a browser that tells nothing of the site: over plain HTTP, or it is no browser
    silent = site is None and (who.credential is Credential.OPEN or _UI_HEADER in request.headers)
    if site != "same-origin" and not silent:
        raise Forbidden("Open this from the page of this gateway itself.")


async def _from_any(
    request: web.Request, row: Row, query: Mapping[str, str], body: bytes | None
) -> web.StreamResponse:
    workers = await services(request).agents.ready()
    if not workers:
        raise Unavailable("No worker is ready; try again shortly.", headers=_RETRY_AFTER)
    answer = await _first(request, workers, query, body)
    return (
        web.Response(status=404) if answer is None else await reply(request, answer, hide=row.hide)
    )


async def _first(
    request: web.Request, workers: Sequence[Worker], query: Mapping[str, str], body: bytes | None
) -> aiohttp.ClientResponse | None:
    """The first answer of a worker that has the route (another method counts as none).

    Raises:
        UpstreamDown: one that may have it is silent, and no other has it.
    """
    silent: UpstreamDown | None = None
    for worker in workers:
        try:
            answer = await ask(services(request).agents, request, worker, query, body)
        except UpstreamDown as error:
            silent = error
            continue
        if answer.status not in (404, 405):
            return answer
        answer.release()
    if silent is not None:
        raise silent
    return None


async def _of_file(
    request: web.Request, row: Row, query: dict[str, str], body: bytes | None
) -> web.StreamResponse:
    """The file must be the caller's, or shared where the row only reads; its worker hears it by the worker's own name."""
    svc, owner = services(request), identity(request).user
    named = named_file(query)
    if isinstance(named, int):
        return web.Response(status=named)
    if row.reads:
        owner, named = svc.mates.owner(owner, named)
    record = await output_record(svc, owner, named)
    if record is None:
        upload = await svc.input_files.find(owner, named.type, named.path)
        if upload is None:
            return web.Response(status=400 if row.bare else 404)
        if row.of_upload is None:
            return await stored_file(request, named, upload)
        kind = "application/json" if row.of_upload else "application/octet-stream"
        return web.Response(body=row.of_upload, content_type=kind)
    if row.bare:
        return web.Response()
    worker = svc.agents.pool.workers.get(record.worker)
    if worker is None:
        raise UpstreamDown("The worker that made this file is gone.")
    query |= {
        "filename": record.worker_filename,
        "subfolder": record.worker_subfolder,
        "type": record.type,
    }
    answer = await ask(svc.agents, request, worker, query, body)
    return await reply(request, answer, hide=row.hide, of_user=True)


async def _to_prompt(
    request: web.Request, row: Row, query: Mapping[str, str], body: bytes | None
) -> web.StreamResponse:
    """Every worker that runs a prompt of the caller's hears it; packs know nodes, not prompts."""
    svc, user = services(request), identity(request).user
    running = [job for job in await svc.ledger.unfinished(user) if job.state is JobState.RUNNING]
    workers = {job.worker: svc.agents.pool.workers.get(job.worker) for job in running}
    answers = [
        await ask(svc.agents, request, worker, query, body)
        for worker in workers.values()
        if worker is not None
    ]
    if not answers:
        raise BadRequest("None of your prompts is running, so there is nothing to act on.")
    best = min(answers, key=lambda answer: answer.status)
    for answer in answers:
        if answer is not best:
            answer.release()
    return await reply(request, best, hide=row.hide)


async def _named_worker(request: web.Request) -> Worker:
    """The worker that the admin names, or the only one.

    Raises:
        BadRequest: there are several, or none of that name.
        Unavailable: there is none.
    """
    ready = {worker.id: worker for worker in await services(request).agents.ready()}
    name = request.headers.get(WORKER_HEADER) or request.query.get(_WORKER_QUERY)
    if not ready:
        raise Unavailable("No worker is ready; try again shortly.", headers=_RETRY_AFTER)
    if name is None and len(ready) == 1:
        return next(iter(ready.values()))
    if name not in ready:
        raise BadRequest(
            f"Say which worker this is for: ?{_WORKER_QUERY}=NAME or the header {WORKER_HEADER}.",
            details=f"Ready are: {', '.join(ready)}",
        )
    return ready[name]
