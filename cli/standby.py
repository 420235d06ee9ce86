"""Connections that another gateway of this port leaves waiting.

Each gateway process has a listening socket of its own on the common port, and the kernel
spreads connections over all of them. A process that has died or hangs accepts nothing,
but its socket is still there (the supervisor holds it), and so is its share of the
connections. So every process looks at the others' sockets too, and takes what has waited
there for longer than one that works would let it.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog

#: seconds between looks; what waits at two of them in a row is taken. A gateway that works
#: accepts within milliseconds, one that is started again needs more than a second.
_EVERY_S: Final = 0.1
#: connections taken from one socket at a look
_MOST: Final = 64
log = structlog.get_logger()


class Standby:
    """Takes connections from other gateways' sockets.

    Args:
        sockets: the others' listening sockets.
        serve: makes the protocol of one connection.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], serve: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._sockets = {one.fileno(): one for one in sockets}
        self._serve = serve
        self._poll = select.poll()
        self._waited: set[int] = set()
        for one in sockets:
            one.setblocking(False)
            self._poll.register(one, select.POLLIN)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take what waited at the last look and still does."""
        waiting = {number for number, _ in self._poll.poll(0)}
        late = waiting & self._waited
        self._waited = waiting
        for number in late:
            await self._take(self._sockets[number])

    async def _take(self, server: socket.socket) -> None:
        taken = 0
        while taken < _MOST:
            try:
                connection, _ = server.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            except OSError as error:  # no more file descriptors: whoever waits goes on waiting
                log.warning("standby_cannot_accept", error=str(error))
                break
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._serve, connection)
            taken += 1
        if taken:
            log.info("stood_in", connections=taken)
