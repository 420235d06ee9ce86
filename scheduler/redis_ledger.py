"""The ledger on Redis or Valkey: one Lua script per transition (``lua/``).

Split by who calls: ``redis_submit``, ``redis_lists``, ``redis_plan``, ``redis_house``,
``redis_agent``, ``redis_watch``, ``redis_overrides``, ``redis_profiles``,
``redis_records``, ``redis_backup``, ``redis_layout``; below them
``redis_connection`` (clients, retries), ``redis_keys`` (every key) and ``redis_codec``
(hashes ↔ nouns).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Self

from scheduler.redis_agent import RedisAgent
from scheduler.redis_backup import RedisBackup
from scheduler.redis_connection import Connection
from scheduler.redis_house import RedisHouse
from scheduler.redis_keys import Keys
from scheduler.redis_layout import RedisLayout
from scheduler.redis_lists import RedisLists
from scheduler.redis_overrides import RedisOverrides
from scheduler.redis_plan import RedisPlan
from scheduler.redis_profiles import RedisProfiles
from scheduler.redis_records import RedisRecords
from scheduler.redis_submit import RedisSubmit
from scheduler.redis_watch import RedisWatch


def _random_call() -> str:
    return secrets.token_urlsafe(6)


class RedisLedger(
    RedisSubmit,
    RedisLists,
    RedisPlan,
    RedisHouse,
    RedisAgent,
    RedisWatch,
    RedisOverrides,
    RedisProfiles,
    RedisRecords,
    RedisBackup,
    RedisLayout,
):
    """``Ledger`` over one pool of one server; safe to share between tasks of one event loop."""

    @classmethod
    def connect(
        cls,
        url: str,
        pool: str,
        *,
        heartbeat_ms: int = 10_000,
        max_losses: int = 3,
        patience_s: float = 5.0,
        new_call: Callable[[], str] = _random_call,
        scripts: Mapping[str, str] | None = None,
    ) -> Self:
        """A ledger that connects when it is first used.

        Args:
            url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://host:port``, or
                ``redis+sentinel://[user:password@]host:port[,host:port]/master-name``.
            pool: which pool's books; pools on one server never meet.
            heartbeat_ms: an agent silent for longer gets no new work.
            max_losses: a job whose worker was lost this often ends FAILED(poison).
            patience_s: how long a call is tried again while the server is away, before
                ``LedgerUnavailable``.
            new_call: names one call, unique enough within a job's life.
            scripts: Lua texts by name in place of the shipped ones (tests plant faults).
        """
        return cls(
            Connection(url, patience_s=patience_s, scripts=scripts),
            Keys(pool),
            heartbeat_ms=heartbeat_ms,
            max_losses=max_losses,
            new_call=new_call,
        )

    async def close(self) -> None:
        """Drop all connections."""
        await self.server.close()
