"""Tickets: a client id that stands for a credential, for clients whose socket brings none.

Some clients take a URL with a key and drop it for the socket: ``ws://host/ws?clientId=X``.
What such a client does show is the key on its other requests, from the same address, and in
``POST /prompt`` the same ``client_id``. So (address, client id) becomes a ticket of whoever
posts with it first, good for sockets alone, for a while, and no longer than the key is.
Notes in the ledger carry it: any gateway knows it. ``docs/security.md`` tells what it is worth.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from gateway.context import Credential, Identity
from gateway.keys import Holder, KeyRing
from scheduler.ledger import Ledger

#: ways to show a key that clients may lose on the way to their socket (of a header, Krita's
#: plugin does so for its first one)
LOSABLE: Final = frozenset({Credential.URL, Credential.BASIC, Credential.HEADER})
#: seconds that an address may send sockets without credential after it showed a key so
SEEN_S: Final = 600.0
#: seconds that a ticket is good after its last use
TICKET_S: Final = 900.0
#: a note is told again after this many seconds; between, this gateway remembers that it did
_AGAIN_S: Final = 60.0
_TOLD: Final = 8192
#: shorter ids, and those without a digit, are names that people gave: no secret at all
_SHORTEST_ID: Final = 16
#: two users claim it, so it says nothing
_VOID: Final = "-"


class Tickets:
    """What all gateways know of them.

    Args:
        ledger: keeps the notes.
        clock: seconds.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        #: notes told by this gateway, and when
        self._told: OrderedDict[str, float] = OrderedDict()

    async def seen(self, address: str) -> None:
        """A key that the client's socket may lose was shown from there.

        Raises:
            LedgerUnavailable: nobody was told.
        """
        name = _seen(address)
        if self._is_due(name):
            await self._ledger.note(name, "1", int(SEEN_S * 1000), replace=True)
            self._tell(name)

    async def is_seen(self, address: str) -> bool:
        """Whether that was so in the last ``SEEN_S`` seconds, at any gateway.

        Raises:
            LedgerUnavailable: nothing is known.
        """
        return await self._ledger.noted(_seen(address)) is not None

    async def bind(self, address: str, client_id: str, who: Identity) -> bool:
        """The user names this client id from there; True: the ticket is this user's.

        The first user keeps what hangs on it; where a second one claims it, it lets in nobody
        new.

        Raises:
            LedgerUnavailable: nothing was bound.
        """
        if not may_be_ticket(client_id):
            return False
        name, mine = _ticket(address, client_id), f"{who.user} {who.key}"
        told = f"{name} {mine}"
        if not self._is_due(told):
            return True
        kept = await self._ledger.note(name, mine, int(TICKET_S * 1000))
        if kept == mine:
            self._tell(told)
            return True
        if kept != _VOID and kept.split(" ")[0] == who.user:  # with an earlier key
            await self._ledger.note(name, mine, int(TICKET_S * 1000), replace=True)
            return True
        await self._ledger.note(name, _VOID, int(TICKET_S * 1000), replace=True)
        return False

    async def holder(self, address: str, client_id: str, ring: KeyRing) -> Holder | None:
        """Whose ticket this is; None: nobody's, or its key is no longer valid.

        Raises:
            LedgerUnavailable: nothing is known.
        """
        user, _, stamp = (await self._ledger.noted(_ticket(address, client_id)) or "").partition(
            " "
        )
        return ring.holder_of(user, stamp)

    async def is_void(self, address: str, client_id: str) -> bool:
        """Whether two users claim it.

        Raises:
            LedgerUnavailable: nothing is known.
        """
        return await self._ledger.noted(_ticket(address, client_id)) == _VOID

    async def used(self, address: str, client_id: str, user: str, stamp: str) -> None:
        """A socket lives on this ticket: its time begins anew, unless it has become void.

        Raises:
            LedgerUnavailable: it may end.
        """
        name = _ticket(address, client_id)
        await self._ledger.note(name, f"{user} {stamp}", int(TICKET_S * 1000))

    def _is_due(self, name: str) -> bool:
        return self._clock() - self._told.get(name, -_AGAIN_S) >= _AGAIN_S

    def _tell(self, name: str) -> None:
        self._told[name] = self._clock()
        self._told.move_to_end(name)
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)


def may_be_ticket(client_id: str) -> bool:
    """Whether an id looks random, as clients make them: nobody else would know it."""
    return len(client_id) >= _SHORTEST_ID and any(sign.isdigit() for sign in client_id)


@lru_cache(maxsize=4096)  # asked for each request, and most come from few addresses
def _seen(address: str) -> str:
    return f"seen:{_digest(address)}"


def _ticket(address: str, client_id: str) -> str:
    return f"ticket:{_digest(address, client_id)}"


def _digest(*words: str) -> str:
    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=16).hexdigest()
