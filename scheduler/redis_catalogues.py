"""Catalogues in Redis: each is fetched and decoded once by a process that needs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from scheduler.catalogue import Catalogue
from scheduler.redis_base import RedisSide

#: One that no agent has put again for this long is forgotten.
_KEPT_S: Final = 7 * 24 * 3600
#: Catalogues remembered, then anew: a pool has a few, and a new one with each new model file.
_MOST: Final = 64
_log = structlog.get_logger()


class RedisCatalogues(RedisSide):
    """``CatalogueSide`` over Redis."""

    async def put_catalogue(self, digest: str, document: bytes) -> None:
        """Keep a catalogue for a week."""
        key = self.keys("catalogue", digest)
        await self.server.command("SET", key, document, "EX", _KEPT_S)

    async def catalogues(self, digests: Iterable[str]) -> dict[str, Catalogue]:
        """Those of these catalogues that are there, by digest."""
        wanted = {digest for digest in digests if digest}
        strange = sorted(wanted - self.known_catalogues.keys())
        if strange:
            if len(self.known_catalogues) + len(strange) > _MOST:
                self.known_catalogues.clear()
                strange = sorted(wanted)
            await self._fetch_catalogues(strange)
        known = self.known_catalogues
        return {digest: known[digest] for digest in wanted if digest in known}

    async def _fetch_catalogues(self, digests: list[str]) -> None:
        documents = await self.server.pipeline(
            [("GET", self.keys("catalogue", digest)) for digest in digests]
        )
        for digest, document in zip(digests, documents, strict=True):
            if document is None:
                continue
            try:
                self.known_catalogues[digest] = Catalogue(document)
            except ValueError as error:  # of another version: taken to offer everything
                _log.warning("catalogue_unreadable", digest=digest, error=str(error))
