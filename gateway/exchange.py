"""Graphs that one client of a user offers to the same user's others (browser → Krita).

Kept in memory, for a browser publishes again whenever its graph changes. Nothing crosses
users. Clients of one user that reach different gateway processes do not hear each other.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

#: least recently used ones are forgotten beyond these
_USERS: Final = 256
_PUBLISHERS: Final = 8
_SUBSCRIBERS: Final = 32

Message = dict[str, Any]


@dataclass(slots=True)
class _Table:
    """What one user's clients offer and want."""

    #: publishing client → its newest offer
    offers: OrderedDict[str, Message] = field(default_factory=OrderedDict)
    subscribers: OrderedDict[str, None] = field(default_factory=OrderedDict)


class Exchange:
    """Who has published what, and who wants to hear of it; by user, bounded."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, _Table] = OrderedDict()

    def subscribe(self, user: str, client_id: str) -> list[Message]:
        """Tell this client from now on; what it missed comes back."""
        table = self._table(user)
        _keep(table.subscribers, client_id, None, _SUBSCRIBERS)
        return list(table.offers.values())

    def unsubscribe(self, user: str, client_id: str) -> None:
        """Tell it no more; one that never asked is no error."""
        self._table(user).subscribers.pop(client_id, None)

    def publish(self, user: str, client_id: str, message: Message) -> list[str]:
        """Keep an offer; the clients to tell."""
        table = self._table(user)
        _keep(table.offers, client_id, message, _PUBLISHERS)
        return list(table.subscribers)

    def _table(self, user: str) -> _Table:
        table = self._tables.get(user) or _Table()
        _keep(self._tables, user, table, _USERS)
        return table


def _keep(kept: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
