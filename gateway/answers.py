"""Answers about a user's jobs, made once for each state of them.

Every tab asks for queue and history again at each change, and scripts poll: mostly nothing has
changed, or ten ask the same at once. So one small question to the ledger (``changed``) decides
whether the bytes of before still hold, and requests for the same that come together share it.
Sharing never looks back: who comes while it is being asked waits for the next time, for it may
know of a change that this one did not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.shelf import Shelf
from scheduler.ledger_lists import ListSide

#: of all answers kept by one gateway
_KEPT_BYTES: Final = 64 * 2**20
#: the store drops old jobs without telling: so long may an answer still show them
_MAX_AGE_S: Final = 30.0
Build = Callable[[], Awaitable[bytes]]
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    changed: str
    made_at: float
    body: bytes


class Answers:
    """Encoded answers by user and question.

    Args:
        ledger: knows when a user's jobs have changed.
        clock: seconds.
    """

    def __init__(self, ledger: ListSide, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kept: Shelf[_Kept] = Shelf(_KEPT_BYTES, idle_s=_MAX_AGE_S)
        #: rounds that have not begun yet: who comes now may join
        self._coming: dict[_Key, asyncio.Task[bytes]] = {}
        #: rounds that have
        self._running: dict[_Key, asyncio.Task[bytes]] = {}

    async def get(
        self, user: str, question: str, build: Build, others: Sequence[str] = ()
    ) -> bytes:
        """The answer to a user's question.

        Args:
            user: whose jobs are asked about.
            question: names route and query; the same one always has the same ``build``.
            build: makes the answer; whatever it reads must be the user's own, or the others'.
            others: users whose jobs the answer shows too; the question names them.

        Raises:
            LedgerUnavailable: nobody knows whether anything has changed.
        """
        key = (user, question)
        coming = self._coming.get(key)
        if coming is None:
            coming = asyncio.create_task(self._round(key, build, others), name="answer")
            self._coming[key] = coming
            coming.add_done_callback(_heed)
        return await asyncio.shield(coming)

    async def _round(self, key: _Key, build: Build, others: Sequence[str]) -> bytes:
        before = self._running.get(key)
        if before is not None:
            await asyncio.wait({before})
        task = self._coming.pop(key)
        self._running[key] = task
        try:
            return await self._answer(key, build, others)
        finally:
            if self._running.get(key) is task:
                del self._running[key]

    async def _answer(self, key: _Key, build: Build, others: Sequence[str]) -> bytes:
        # asked before anything is read: what is built is at least as new as its name
        changed = await self._ledger.changed(key[0])
        if others:
            changed = " ".join([changed, *await asyncio.gather(*map(self._ledger.changed, others))])
        kept, now = self._kept.get(key), self._clock()
        if kept is not None and kept.changed == changed and now - kept.made_at < _MAX_AGE_S:
            return kept.body
        body = await build()
        self._kept.put(key, _Kept(changed, now, body), len(body))
        return body


def _heed(task: asyncio.Task[bytes]) -> None:
    """All who asked may have gone: then nobody else looks at what went wrong."""
    if not task.cancelled():
        task.exception()
