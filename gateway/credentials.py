"""What a request shows to say who it is: a key in a header, in Basic or in ``?token=``.

The first that is present decides; a wrong one is refused, never skipped. What a client
says of itself (``comfy-user``) is not read at all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web

from gateway.context import Credential
from gateway.errors import Unauthorized

#: user names that say no more than "here is a key"
_NOBODY: Final = frozenset({"", "api", "token"})


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as it was sent, not yet judged."""

    key: str = field(repr=False)
    credential: Credential
    #: the user that it must belong to; None: whoever holds it
    user: str | None = None


def shown_key(request: web.Request) -> Shown | None:
    """The key in ``Authorization``, ``X-API-Key`` or ``?token=``, in this order; None: none.

    Raises:
        Unauthorized: the header is of no form that is known here.
    """
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return Shown(value.strip(), Credential.HEADER)
        if scheme.lower() == "basic":
            return _basic(request.headers, value)
        raise Unauthorized(
            "Authorization must be Bearer <key> or Basic <user:key>.",
            headers=challenge(request.headers),
        )
    api_key = request.headers.get("X-API-Key")
    if api_key is not None:
        return Shown(api_key.strip(), Credential.HEADER)
    token = request.rel_url.query.get("token")
    return None if token is None else Shown(token, Credential.TOKEN)


def challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """Basic is offered to programs that wait for it, not to browsers: they would pop up a box."""
    # Qt's programs call themselves "Mozilla/5.0", and no more
    browser = "Sec-Fetch-Mode" in headers or headers.get(hdrs.USER_AGENT, "").startswith(
        "Mozilla/5.0 ("
    )
    # Basic first: some programs look at the beginning alone
    basic = "" if browser else 'Basic realm="vramgate", '
    return {hdrs.WWW_AUTHENTICATE: f'{basic}Bearer realm="vramgate"'}


def _basic(headers: Mapping[str, str], value: str) -> Shown:
    """``user:key``, ``:key``, or the key alone as the user, as ``http://key@host`` sends it."""
    try:
        user, colon, key = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text
        user, colon, key = "", "", ""
    if not colon:
        raise Unauthorized(
            "Basic authorization must be user:key.", headers=challenge(headers)
        ) from None
    if not key:
        return Shown(user, Credential.BASIC)
    return Shown(key, Credential.BASIC, None if user in _NOBODY else user)
