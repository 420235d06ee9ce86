"""What goes wrong at the edge, and how a client is told: always in ComfyUI's error shape.

    GatewayError
    ├── BadRequest       400  the request cannot be understood
    ├── Unauthorized     401  no valid credential
    ├── Forbidden        403  known, but not allowed
    ├── TooLarge         413  body over ``gateway.max_body``
    ├── QuotaExceeded    413  the user's uploads have reached their limit
    ├── WrongHost        421  a host name that this gateway does not answer to
    ├── TooManyAttempts  429  too many wrong keys from one address
    ├── UpstreamDown     502  the agent that holds the answer does not give it
    ├── Unavailable      503  nothing can answer right now, later it can
    └── DiskFull         507  no room to keep what was sent

Handlers raise these; ``gateway.edge`` turns them into replies. Answers that ComfyUI
gives with an empty body are plain ``web.Response`` values, not errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

import msgspec
from aiohttp import web


class ErrorDetail(TypedDict):
    """What went wrong: a name for programs, sentences for people."""

    type: str
    message: str
    details: str
    extra_info: dict[str, Any]


class Error(TypedDict):
    """ComfyUI's error shape; ``node_errors`` by node, where a graph is wrong."""

    error: ErrorDetail
    node_errors: dict[str, Any]


class GatewayError(Exception):
    """Base of the tree; ``message`` is for the client and says what to do next."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, details: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.headers = dict(headers or {})


class BadRequest(GatewayError):
    """The request cannot be understood."""

    status = 400
    type = "bad_request"


class Unauthorized(GatewayError):
    """No valid credential."""

    status = 401
    type = "unauthorized"


class Forbidden(GatewayError):
    """Known, but not allowed."""

    status = 403
    type = "forbidden"


class TooLarge(GatewayError):
    """Body over the limit."""

    status = 413
    type = "too_large"


class QuotaExceeded(GatewayError):
    """The user's uploads have reached their limit."""

    status = 413
    type = "quota_exceeded"


class WrongHost(GatewayError):
    """A host name that this gateway does not answer to."""

    status = 421
    type = "wrong_host"


class TooManyAttempts(GatewayError):
    """Too many wrong keys from one address."""

    status = 429
    type = "too_many_attempts"


class UpstreamDown(GatewayError):
    """The agent that holds the answer does not give it."""

    status = 502
    type = "upstream_down"


class Unavailable(GatewayError):
    """Nothing can answer right now, later it can."""

    status = 503
    type = "unavailable"


class DiskFull(GatewayError):
    """No room to keep what was sent."""

    status = 507
    type = "disk_full"


def too_large(limit_bytes: int) -> TooLarge:
    """The one wording for every place that meets the limit."""
    return TooLarge(
        f"The request's body is over {limit_bytes} bytes; send less, "
        "or ask the admin to raise gateway.max_body."
    )


def reply(
    status: int,
    type: str,
    message: str,
    *,
    details: str = "",
    extra_info: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error as ComfyUI words one: ``{"error": {…}, "node_errors": {}}``."""
    body: Error = {
        "error": {
            "type": type,
            "message": message,
            "details": details,
            "extra_info": dict(extra_info or {}),
        },
        "node_errors": {},
    }
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def error_reply(error: GatewayError) -> web.Response:
    """The reply to a raised error."""
    return reply(
        error.status, error.type, error.message, details=error.details, headers=error.headers
    )
