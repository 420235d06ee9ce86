"""One request to a pack's route of one worker, through its agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs, web
from yarl import URL

from gateway.agents import Agents
from gateway.errors import UpstreamDown
from scheduler.states import Worker

#: never cookies, credentials or who the client is
_SENT: Final = (
    hdrs.ACCEPT,
    hdrs.CONTENT_TYPE,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_RANGE,
    hdrs.RANGE,
)
_KEPT: Final = (
    hdrs.ACCEPT_RANGES,
    hdrs.CACHE_CONTROL,
    hdrs.CONTENT_DISPOSITION,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_RANGE,
    hdrs.CONTENT_TYPE,
    hdrs.ETAG,
    hdrs.LAST_MODIFIED,
)
#: what a picture, film or sound of a user may be shown as under this site's name
_INERT: Final = ("video/", "audio/", "image/png", "image/jpeg", "image/webp", "image/gif")
_JSON: Final = "application/json"
#: longest JSON answer that is read to leave something out
_MOST_JSON: Final = 16 * 2**20
_RETRY_AFTER: Final[Mapping[str, str]] = {hdrs.RETRY_AFTER: "5"}
log = structlog.get_logger()


async def ask(
    agents: Agents,
    request: web.Request,
    worker: Worker,
    query: Mapping[str, str],
    body: bytes | None,
) -> aiohttp.ClientResponse:
    """Send the request on to one worker; whoever gets the answer releases it.

    Raises:
        UpstreamDown: the agent or the worker does not answer.
    """
    agent = agents.pool.agents.get(worker.agent)
    if agent is None:
        raise UpstreamDown("The worker's host is not connected.", headers=_RETRY_AFTER)
    path = request.rel_url.raw_path.lstrip("/")
    raw = f"{agent.url.rstrip('/')}/v1/workers/{quote(worker.id, safe='')}/pack/{path}"
    url = URL(raw + (f"?{urlencode(query)}" if query else ""), encoded=True)
    headers = {str(name): request.headers[name] for name in _SENT if name in request.headers}
    headers |= {hdrs.ACCEPT_ENCODING: "identity", **agents.headers}
    try:
        answer = await agents.session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("pack_route_failed", worker=worker.id, error=repr(error))
        raise UpstreamDown("The worker does not answer.", headers=_RETRY_AFTER) from error
    if answer.status in (502, 503, 504):
        answer.release()
        raise UpstreamDown("The worker does not answer.", headers=_RETRY_AFTER)
    return answer


async def reply(
    request: web.Request,
    answer: aiohttp.ClientResponse,
    *,
    hide: tuple[str, ...] = (),
    of_user: bool = False,
) -> web.StreamResponse:
    """Pass an answer on; redirects are a 404.

    Args:
        request: what is answered.
        answer: from ``ask``; released here.
        hide: keys of JSON objects that are left out.
        of_user: it shows a file of a user's, so nothing of it may run as a page.
    """
    async with answer:
        if answer.status == 404 or (300 <= answer.status < 400 and answer.status != 304):
            return web.Response(status=404)
        if hide and answer.content_type == _JSON:
            return await _without(answer, hide)
        headers = {str(name): answer.headers[name] for name in _KEPT if name in answer.headers}
        if of_user and not answer.content_type.startswith((*_INERT, _JSON)):
            headers[hdrs.CONTENT_TYPE] = "application/octet-stream"
            headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await _copy(request, answer, response)
        return response


async def _without(answer: aiohttp.ClientResponse, hide: tuple[str, ...]) -> web.Response:
    body = await answer.content.read(_MOST_JSON)
    try:
        told = _drop(msgspec.json.decode(body), frozenset(hide))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UpstreamDown("The worker answered something else than JSON.") from error
    return web.Response(
        status=answer.status,
        body=msgspec.json.encode(told),
        content_type=_JSON,
        charset="utf-8",
    )


def _drop(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _drop(one, keys) for name, one in value.items() if name not in keys}
    return [_drop(one, keys) for one in value] if isinstance(value, list) else value


async def _copy(
    request: web.Request, answer: aiohttp.ClientResponse, response: web.StreamResponse
) -> None:
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientPayloadError, aiohttp.ClientOSError, TimeoutError) as error:
        # the status is sent: only a broken connection says that bytes are missing
        log.warning("stream_broken", host=answer.url.host, error=repr(error))
        if request.transport is not None:
            request.transport.abort()
