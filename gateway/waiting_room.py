"""Sockets that brought no credential and wait for one: open, and told of nobody's work.

A client that will show its key only with its first prompt has its socket held until then.
Held sockets are bounded in number, and end when their address shows no key any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web

from gateway import browser_rules
from gateway.context import Credential, Identity, identity
from gateway.door import Door
from gateway.keys import Holder
from gateway.source import source
from gateway.tickets import LOSABLE, Tickets, may_be_ticket
from scheduler.ledger import LedgerUnavailable

SOCKET_PATHS: Final = frozenset({"/ws", "/api/ws"})
#: sockets held at once from one address, and by this gateway
MOST_OF_ADDRESS: Final = 64
MOST: Final = 512
#: seconds between looks at who has waited in vain, and at tickets in use
_LOOK_S: Final = 30.0
log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Guest:
    """One socket that came by a ticket, or hopes for one."""

    address: str
    client_id: str
    #: makes the socket this user's, at once
    take: Callable[[str, str], None]
    close: Callable[[], None]
    #: whose it is, and the digest of the key behind the ticket; empty: it waits
    user: str = ""
    key: str = field(default="", repr=False)


class WaitingRoom:
    """The sockets of this gateway that live on tickets.

    Args:
        tickets: what all gateways know.
        door: which keys are valid.
    """

    def __init__(self, tickets: Tickets, door: Door) -> None:
        self._tickets = tickets
        self._door = door
        self._guests: set[Guest] = set()

    async def show(self, address: str) -> None:
        """A key was shown from there in a way that the client's socket may lose."""
        try:
            await self._tickets.seen(address)
        except LedgerUnavailable:
            log.warning("tickets_unknown")  # the request itself may do without

    async def judge(self, request: web.Request) -> Holder | bool:
        """What becomes of a socket's handshake without credential.

        Returns:
            Whose it is by its ticket; True: it may wait; False: it may not come in.

        Raises:
            LedgerUnavailable: nothing is known.
        """
        client_id, address = request.query.get("clientId", ""), source(request).address
        if not self._may_ask(request, client_id) or not await self._tickets.is_seen(address):
            return False
        holder = await self._tickets.holder(address, client_id, await self._door.ring())
        if holder is not None:
            return holder
        return self._has_room(address) and not await self._tickets.is_void(address, client_id)

    async def enter(self, guest: Guest) -> None:
        """A socket lives on its ticket, or begins to wait."""
        self._guests.add(guest)
        if not guest.user:  # its prompt may have come since the handshake was judged
            await self.heard(guest.client_id)

    def leave(self, guest: Guest) -> None:
        """It is gone."""
        self._guests.discard(guest)

    async def claim(self, address: str, client_id: str, who: Identity) -> None:
        """A prompt is posted with this client id: sockets that wait under it are the user's.

        Raises:
            LedgerUnavailable: the others were not told.
        """
        holder = (await self._door.ring()).holder_of(who.user, who.key)
        if holder is not None and await self._tickets.bind(address, client_id, who):
            self._hand_over(address, client_id, holder)

    async def heard(self, client_id: str | None) -> None:
        """A prompt with this client id was queued, maybe at another gateway."""
        for guest in [one for one in self._waiting() if one.client_id == client_id]:
            try:
                ring = await self._door.ring()
                holder = await self._tickets.holder(guest.address, guest.client_id, ring)
            except LedgerUnavailable:
                log.warning("tickets_unknown")
                return
            if holder is not None:
                self._hand_over(guest.address, guest.client_id, holder)

    async def keep(self) -> None:
        """Send away who waits in vain, and keep tickets in use alive, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self.look()
            except LedgerUnavailable:
                log.warning("tickets_unknown")

    async def look(self) -> None:
        """Once of ``keep``.

        Raises:
            LedgerUnavailable: nothing is known.
        """
        for guest in list(self._guests):
            if guest.user:
                await self._tickets.used(guest.address, guest.client_id, guest.user, guest.key)
            elif not await self._tickets.is_seen(guest.address):
                guest.close()

    def close(self) -> None:
        """Close the sockets that wait, as the gateway stops."""
        for guest in self._waiting():
            guest.close()

    def _may_ask(self, request: web.Request, client_id: str) -> bool:
        """A socket's handshake of a program; a web site's page has the cookie, or no business."""
        scheme = request.headers.get("Origin", "").partition(":")[0]
        page = scheme in ("http", "https") and browser_rules.is_foreign(
            request.headers, source(request).host, self._door.settings().gateway.allowed_hosts
        )
        return (
            request.rel_url.raw_path in SOCKET_PATHS
            and browser_rules.is_socket(request.headers)
            and may_be_ticket(client_id)
            and not page
        )

    def _has_room(self, address: str) -> bool:
        waiting = Counter(guest.address for guest in self._waiting())
        return waiting[address] < MOST_OF_ADDRESS and waiting.total() < MOST

    def _waiting(self) -> list[Guest]:
        return [guest for guest in self._guests if not guest.user]

    def _hand_over(self, address: str, client_id: str, holder: Holder) -> None:
        for guest in self._waiting():
            if (guest.address, guest.client_id) == (address, client_id):
                guest.user, guest.key = holder.user, holder.stamp
                guest.take(holder.user, holder.stamp)
                log.info("socket_claimed", user=holder.user)


WAITING_ROOM: Final[web.AppKey[WaitingRoom]] = web.AppKey("waiting room", WaitingRoom)


async def claim_sockets(request: web.Request, client_id: str | None) -> None:
    """A prompt names its client: a socket of it that lost its key on the way is known now.

    To be called before the prompt is queued, so that its first frame finds the socket.

    Raises:
        LedgerUnavailable: the other gateways were not told.
    """
    who = identity(request)
    if client_id is not None and who.credential in LOSABLE:
        await request.app[WAITING_ROOM].claim(source(request).address, client_id, who)


def by_ticket(holder: Holder) -> Identity:
    """The identity of a socket that comes by a ticket."""
    return Identity(holder.user, holder.group, holder.role, Credential.TICKET, holder.stamp)
