"""Browser sessions: a signed cookie, nothing kept on the server.

The signature covers the user's name, the kind of key that opened the session, when it
ends, and that key's digest. A rotated or revoked key therefore ends its sessions at once.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from aiohttp import hdrs, web

from gateway.keys import Holder, KeyKind, KeyRing

COOKIE: Final = "vramgate_session"
#: browsers take a name with this prefix only over TLS and from this very host: no other
#: host of the same domain can plant one
_OWN_HOST: Final = "__Host-"


def cookie_name(*, secure: bool) -> str:
    """The cookie's name; ``secure``: the client came over TLS."""
    return _OWN_HOST + COOKIE if secure else COOKIE


def cookies_of(request: web.Request, name: str) -> list[str]:
    """All values of a cookie; there may be several of one name, from other paths and domains."""
    parts = ";".join(request.headers.getall(hdrs.COOKIE, [])).split(";")
    pairs = (part.strip().partition("=") for part in parts)
    return [value for key, _, value in pairs if key == name]


class Sessions:
    """Issues and reads session cookies under one secret."""

    def __init__(self, secret: bytes, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, holder: Holder, days: float) -> str:
        """A cookie's value for whoever has just shown this key."""
        ends = int(self._clock() + days * 86400)
        name = base64.urlsafe_b64encode(holder.user.encode()).decode().rstrip("=")
        return f"{name}.{holder.kind}.{ends}.{self._sign(holder, ends)}"

    def read(self, cookie: str, ring: KeyRing) -> Holder | None:
        """Whose session this is; None when forged, past, or its key is no longer valid."""
        parts = cookie.split(".")
        if len(parts) != 4 or parts[1] not in set(KeyKind):
            return None
        name, kind, ends_text, mac = parts
        user = _decode(name)
        if user is None or not ends_text.isascii() or not ends_text.isdigit():
            return None
        holder = ring.holder(user, KeyKind(kind))
        if holder is None or len(ends_text) > 12:
            return None
        ends = int(ends_text)
        shown = mac.encode("utf-8", "surrogateescape")
        genuine = hmac.compare_digest(shown, self._sign(holder, ends).encode())
        return holder if genuine and ends > self._clock() else None

    def _sign(self, holder: Holder, ends: int) -> str:
        text = "\0".join((holder.user, holder.kind, str(ends), holder.stamp))
        return hmac.new(self._secret, text.encode(), sha256).hexdigest()


def _decode(name: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except ValueError:  # no base64, or no text
        return None
