"""What one worker offers, kept up to date and told to the ledger."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from scheduler.catalogue import describe
from scheduler.ledger import LedgerUnavailable
from worker_agent.comfy_client import ComfyClient
from worker_agent.services import Services

_log = structlog.get_logger(__name__)

#: A model file may be put on the disk at any time: a worker is asked again this often, seconds …
_AGAIN: Final = 60.0
#: … or so long after the last time, where there is a sign that it offers something else …
_SOON: Final = 10.0
#: … but spends no more than this share of its time on answering: its event loop stands still
#: meanwhile (45 ms for the core's nodes, seconds with many packs and files).
_SHARE: Final = 0.01
#: One that takes longer is not asked while it runs a prompt, lest it seem gone, seconds.
_SLOW: Final = 1.0
#: The ledger forgets a catalogue that is not put again for a week, seconds.
_PUT_AGAIN: Final = 3600.0


class Inventory:
    """The catalogue of one worker."""

    def __init__(self, services: Services, worker: str) -> None:
        self._services = services
        self._worker = worker
        #: names what it offers; "" while that is not known
        self.digest = ""
        self._document = b""
        self._ask_at = 0.0
        self._asked_at = 0.0
        self._took = 0.0
        self._put_at = 0.0

    def is_due(self, *, busy: bool) -> bool:
        """Whether the worker should be asked again; one that answers slowly, only while idle."""
        return self._services.clock() >= self._ask_at and not (busy and self._took > _SLOW)

    def ask_soon(self) -> None:
        """It may offer something else already; not asked twice within ``_SOON``."""
        self._ask_at = min(self._ask_at, self._asked_at + _SOON)

    async def take(self, client: ComfyClient) -> dict[str, Any]:
        """Ask the worker; its ``/object_info``.

        Raises:
            WorkerUnreachable: it does not answer.
        """
        began = self._services.clock()
        info = await client.object_info()
        self._asked_at = self._services.clock()
        self._took = self._asked_at - began
        self._ask_at = self._services.clock() + max(_AGAIN, self._took / _SHARE)
        digest, self._document = await asyncio.to_thread(describe, info)
        if digest != self.digest:
            _log.info("catalogue_changed", worker=self._worker, digest=digest)
            self.put_again()
            # before a report names it
            await self.put(digest)
        self.digest = digest
        return info

    def put_again(self) -> None:
        """The ledger may have lost it."""
        self._put_at = 0.0

    async def put(self, digest: str = "") -> None:
        """Tell the ledger what it offers, where that is due."""
        digest = digest or self.digest
        if not digest or self._services.clock() < self._put_at:
            return
        try:
            await self._services.ledger.put_catalogue(digest, self._document)
        except LedgerUnavailable as error:
            # until then it is taken to offer everything
            _log.warning("ledger_unavailable", call="put_catalogue", detail=str(error))
            return
        self._put_at = self._services.clock() + _PUT_AGAIN
