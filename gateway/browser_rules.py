"""What a browser may do on somebody's behalf, judged by its own headers (pure).

Where the credential travels by itself (a cookie, or no credential at all on loopback),
any page in that browser could use it. Browsers tell on such pages by ``Origin`` and
``Sec-Fetch-Site``; a page that renames itself to this host by DNS gives itself away by
``Host``. Programs send neither header and are not touched.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def host_name(host: str) -> str:
    """``Gate.Studio:8288`` → ``gate.studio``; ``[::1]:80`` → ``::1``; "" where it is no host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Whether a host name can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_allowed(host: str, *, listening: str, allowed: Collection[str], any_host: bool) -> bool:
    """Whether ``Host`` is a name this gateway answers to.

    ``any_host``: with keys and no list every name is good, because a rebound name
    brings no cookie along.
    """
    if any_host and not allowed:
        return True
    name = host_name(host)
    return bool(name) and (
        is_loopback(name)
        or name == listening.lower().strip("[]")
        or name in {host_name(entry) for entry in allowed}
    )


def is_address(host: str) -> bool:
    """Whether a ``Host`` is an IP address: no DNS answer can make it mean another machine."""
    try:
        ipaddress.ip_address(host_name(host))
    except ValueError:
        return False
    return True


def is_foreign(headers: Mapping[str, str], host: str, allowed: Collection[str]) -> bool:
    """Whether another site's page makes this request.

    Args:
        headers: of the request.
        host: the ``Host`` that the client asked for.
        allowed: further host names of this gateway (behind a proxy that changes ``Host``,
            the browser's ``Origin`` names the proxy).
    """
    site = headers.get("Sec-Fetch-Site")
    if site == "cross-site":
        return True
    if site in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    if origin is None:
        return False
    return not _same_host(origin, host, allowed)


def _same_host(origin: str, host: str, allowed: Collection[str]) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        own = urlsplit(f"//{host}")
        # Host leaves out the default port of a scheme that only the browser knows
        own_port = own.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    name = (parts.hostname or "").rstrip(".")
    if not name:
        return False
    if name in {host_name(entry) for entry in allowed}:
        return True
    return name == host_name(host) and port == own_port


def is_socket(headers: Mapping[str, str]) -> bool:
    """Whether this is a WebSocket's handshake."""
    return headers.get("Upgrade", "").lower() == "websocket"


def refuses(method: str, headers: Mapping[str, str], host: str, allowed: Collection[str]) -> bool:
    """Whether a request on an ambient credential must be refused.

    Of foreign pages: unsafe methods, socket handshakes (a GET that is not harmless), and
    whatever the page loads into itself. Opening a link is harmless.
    """
    if not is_foreign(headers, host, allowed):
        return False
    loads = headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    return method not in SAFE_METHODS or is_socket(headers) or loads


def comes_by_link(headers: Mapping[str, str]) -> bool:
    """Whether another site sent the person here: its link may be a trap."""
    return headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person opens this as a page, so that a redirect makes sense."""
    if method not in ("GET", "HEAD") or "Upgrade" in headers:
        return False
    mode = headers.get("Sec-Fetch-Mode")
    return (mode is None or mode == "navigate") and "text/html" in headers.get("Accept", "")


def local_path(target: str) -> str:
    """A redirect's target as a path of this site; anything else becomes ``/``."""
    if not target.startswith("/") or any(ord(sign) < 0x20 for sign in target):
        return "/"
    # "//host" and "/\host" would leave the site
    return "/" + target.lstrip("/\\")
