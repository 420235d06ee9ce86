"""Where a request comes from: the connection's other end, or whom a trusted proxy speaks for.

``X-Forwarded-For``, ``-Proto`` and ``-Host`` are believed from ``gateway.trusted_proxies``
alone: anybody can send them. What others send of the kind is not even looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import hdrs, web

from gateway.context import SERVICES

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Source:
    """One request's origin."""

    #: the client's address as text; "" where the connection has none
    address: str
    #: the ``Host`` that the client asked for
    host: str
    #: it came over TLS, here or at the proxy
    secure: bool
    #: it comes through a trusted proxy, whose other headers may be believed too
    proxied: bool
    #: the address is the client's own, not that of a proxy that did not name one
    direct: bool


_SOURCE: Final[web.RequestKey[Source]] = web.RequestKey("source", Source)


def source(request: web.Request) -> Source:
    """Where this request comes from; found once."""
    found = request.get(_SOURCE)
    if found is None:
        trusted = request.app[SERVICES].settings().gateway.trusted_proxies
        found = request[_SOURCE] = _find(request, trusted)
    return found


@lru_cache(maxsize=4096)  # asked for each request, and most come from few addresses
def parse_address(text: str) -> IpAddress | None:
    """``10.0.0.1``, ``10.0.0.1:80``, ``[::1]:80``, ``fe80::1%eth0``; None: no address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # a socket that listens on both families names IPv4 clients like this
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


@lru_cache(maxsize=64)
def parse_networks(networks: tuple[str, ...]) -> tuple[IpNetwork, ...]:
    """Checked settings as networks."""
    return tuple(ip_network(text) for text in networks)


def within(address: IpAddress | None, networks: tuple[str, ...]) -> bool:
    """Whether the address lies in one of the networks."""
    return address is not None and any(address in net for net in parse_networks(networks))


def _find(request: web.Request, trusted: tuple[str, ...]) -> Source:
    host = request.headers.get(hdrs.HOST, "")
    other_end = parse_address(request.remote or "")
    plain = Source(_text(other_end, request.remote), host, request.secure, False, True)
    if not trusted or not within(other_end, trusted):
        return plain
    client = client_of(request.headers.getall("X-Forwarded-For", []), trusted)
    proto = _last(request.headers.getall("X-Forwarded-Proto", []))
    return Source(
        address=plain.address if client is None else str(client),
        host=_last(request.headers.getall("X-Forwarded-Host", [])) or host,
        secure=request.secure or proto.lower() in ("https", "wss"),
        proxied=True,
        direct=client is not None,
    )


def client_of(headers: list[str], trusted: tuple[str, ...]) -> IpAddress | None:
    """The nearest address that is no trusted proxy: what stands before it anybody may have sent."""
    for text in reversed(",".join(headers).split(",")):
        address = parse_address(text)
        if address is None or not within(address, trusted):
            return address
    return None


def _last(values: list[str]) -> str:
    """What the nearest proxy said."""
    return ",".join(values).rpartition(",")[2].strip()


@lru_cache(maxsize=4096)
def _text(address: IpAddress | None, remote: str | None) -> str:
    return str(address) if address is not None else remote or ""
