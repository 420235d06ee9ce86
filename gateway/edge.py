"""The outermost layer: every request gets an id and every answer its headers, whatever happens.

Errors become replies in ComfyUI's shape; what nobody expected becomes a 500 that tells the
client an id and the log the rest.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, http_exceptions, web

from config.free_space import FULL
from gateway.context import SERVICES
from gateway.errors import GatewayError, error_reply, reply, too_large
from gateway.room import disk_full
from scheduler.ledger import LedgerUnavailable
from store.errors import StoreFull

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REQUEST_ID: Final = "X-Request-Id"
_RETRY_S: Final = "2"
_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'self'",
    # a personal URL holds a key; it must not travel to other sites
    "Referrer-Policy": "no-referrer",
    # what one user gets, a shared cache in between must not give to another
    "Cache-Control": "private",
}
log = structlog.get_logger()


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal ``on_response_prepare``: headers that a handler has not set itself."""
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)


@web.middleware
async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer OPTIONS, bound bodies, and turn exceptions into replies."""
    if request.method == "OPTIONS":
        return web.Response()
    limit = request.app[SERVICES].settings().gateway.max_body
    try:
        if request.content_length is not None and request.content_length > limit:
            raise too_large(limit)
        return await handler(request)
    except GatewayError as error:
        return error_reply(error)
    except LedgerUnavailable:
        log.warning("ledger_unavailable", route=_route(request))
        return reply(
            503,
            "unavailable",
            "The queue does not answer right now; try again in a moment.",
            headers={hdrs.RETRY_AFTER: _RETRY_S},
        )
    except web.HTTPRequestEntityTooLarge:
        return error_reply(too_large(limit))
    except web.HTTPException as error:
        return _as_comfyui(error)
    except (http_exceptions.HttpProcessingError, web.RequestPayloadError) as error:
        # a body that is not packed as its headers say
        return reply(400, "invalid_body", "The body cannot be read.", details=str(error)[:200])
    except ConnectionResetError:
        raise  # the client has gone; there is nobody to tell
    except StoreFull:
        log.error("disk_full", route=_route(request))
        return error_reply(disk_full())
    except OSError as error:
        if error.errno not in FULL:
            return _unexpected(request)
        log.error("disk_full", route=_route(request), detail=error.strerror)
        return error_reply(disk_full())
    except Exception:
        return _unexpected(request)


def _as_comfyui(error: web.HTTPException) -> web.StreamResponse:
    """Unknown paths are answered with nothing but the status, unknown methods in its words."""
    if error.status == 404:
        return web.Response(status=404)
    if error.status == 405:
        return web.Response(
            status=405,
            text="405: Method Not Allowed",
            headers={hdrs.ALLOW: error.headers.get(hdrs.ALLOW, "")},
        )
    raise error


def _unexpected(request: web.Request) -> web.StreamResponse:
    request_id = request.app[SERVICES].new_id()
    # the route, not the path: a path may hold a key. The traceback as text: renderers of
    # exceptions may print local variables, and those hold keys and prompts
    log.error(
        "request_failed",
        request=request_id,
        route=_route(request),
        traceback=traceback.format_exc(),
    )
    return reply(
        500,
        "internal_error",
        "Something went wrong here; tell your admin the request's id.",
        extra_info={"request_id": request_id},
        headers={_REQUEST_ID: request_id},
    )


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
