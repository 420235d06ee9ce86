"""The gateways' sockets, opened by their supervisor.

A port in use is an error at once, and requests that come while a gateway is being
restarted wait instead of failing: a socket, and who waits on it, outlives its gateway.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from cli.errors import CliError

_BACKLOG: Final = 512
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - shown as the loopback address


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes any free one.

    Raises:
        CliError: the address cannot be had; says what to do.
    """
    server = _bound(host, port, shared=False)
    server.listen(_BACKLOG)
    return server


def listen_shared(host: str, port: int, count: int) -> list[socket.socket]:
    """Open several listening sockets on one port; the kernel spreads connections over them.

    Raises:
        CliError: the address cannot be had; says what to do.
    """
    if count == 1:
        return [listen(host, port)]
    # Sockets that share let in any further one of the same user: what uses the port
    # already is seen only by one that does not share.
    with _bound(host, port, shared=False) as alone:
        port = alone.getsockname()[1]
    servers: list[socket.socket] = []
    try:
        for _ in range(count):
            servers.append(_bound(host, port, shared=True))
    except CliError:
        for server in servers:
            server.close()
        raise
    for server in servers:
        server.listen(_BACKLOG)
    return servers


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CliError(f"gateway.host {host!r} is no address of this machine: {error}") from error
    server = socket.socket(family, kind, protocol)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(address)
    except OSError as error:
        server.close()
        raise CliError(_why(error, host, port)) from error
    return server


def url_of(host: str, port: int) -> str:
    """The URL under which this machine reaches a server that listens there."""
    shown = _ANY.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use. If that is vramgate, it already runs (`vramgate "
            "status`); else choose another with --port, or --port 0 for any free one."
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs root on this machine; choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; use --host 127.0.0.1 or 0.0.0.0."
    return (
        f"cannot listen on {host} port {port}: {error.strerror}; choose others with --host, --port."
    )
