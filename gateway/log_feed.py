"""``logs`` frames: a user's own events, as they happen, for clients that asked for them.

A client may ask one gateway over HTTP and have its socket at another, so where there are
several the wish is noted in the ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

import structlog

from gateway.hub import Hub
from gateway.own_log import of_event, waits
from scheduler.ledger import Event, EventKind, LedgerUnavailable, NoteSide, Pool
from scheduler.states import Job

#: how long a wish lasts that another gateway was told
_WISH_MS: Final = 24 * 3600 * 1000
#: running jobs whose start is remembered
_STARTS_KEPT: Final = 4096

_log = structlog.get_logger()


class PoolSource(Protocol):
    """The part of ``gateway.agents.Agents`` that a log needs."""

    @property
    def pool(self) -> Pool:
        """The pool as last read."""
        ...


async def want(hub: Hub, ledger: NoteSide, user: str, client_id: str, *, wanted: bool) -> None:
    """Begin or end to send this client of the user its user's log.

    Raises:
        LedgerUnavailable: other gateways cannot be told.
    """
    hub.want_log(user, client_id, wanted=wanted)
    await ledger.note(_name(user, client_id), _wish(wanted=wanted), _WISH_MS, replace=True)


class LogFeed:
    """The log frames of one gateway.

    Args:
        hub: who is here, and the way out.
        ledger: what other gateways were asked.
        source: GPUs by id, and how many gateways there are.
    """

    def __init__(self, hub: Hub, ledger: NoteSide, source: PoolSource) -> None:
        self._hub = hub
        self._ledger = ledger
        self._source = source
        self._started_ms: OrderedDict[str, int] = OrderedDict()

    async def tell(self, event: Event) -> None:
        """Send the line of one event of a user who is here."""
        if event.kind is EventKind.CLAIMED:
            self._started_ms[event.job] = event.at_ms
            if len(self._started_ms) > _STARTS_KEPT:
                self._started_ms.popitem(last=False)
        pool = self._source.pool
        line = of_event(event, pool.gpus, self._started_ms.get(event.job, 0))
        if event.kind in (EventKind.REQUEUED, EventKind.SETTLED):
            self._started_ms.pop(event.job, None)
        if line is None:
            return
        if len(pool.gateways) > 1:
            await self._learn(event.user)
        self._hub.send_log(event.user, line.entry())

    def explain(self, job: Job, at_ms: int) -> None:
        """Send a line about why a job of a user who is here waits."""
        line = waits(job, at_ms)
        if line is not None:
            self._hub.send_log(job.user, line.entry())

    async def _learn(self, user: str) -> None:
        """What this user's clients have asked of other gateways."""
        try:
            for client_id in self._hub.clients(user):
                wish = await self._ledger.noted(_name(user, client_id))
                if wish is not None:
                    self._hub.want_log(user, client_id, wanted=wish == _wish(wanted=True))
        except LedgerUnavailable:
            _log.debug("log_wishes_unknown")  # a line is lost; the panel reads all when opened


def _name(user: str, client_id: str) -> str:
    return f"log:{user}\0{client_id}"


def _wish(*, wanted: bool) -> str:
    return "yes" if wanted else "no"
