"""A pool's keys for a backup, on one server and on a cluster."""

from __future__ import annotations

from scheduler.backup_keys import Books, mend
from scheduler.redis_ledger import RedisLedger
from tests.factories import new_job
from tests.integration.ledger.conftest import Connect


async def test_keys_are_read_cleared_and_put_back_where_they_were(
    connect: Connect, server_url: str
) -> None:
    ledger = connect()
    assert isinstance(ledger, RedisLedger)
    jobs = [new_job(user) for user in ("ann", "bob")]
    for job in jobs:
        await ledger.submit(job, b"prompt", max_queued=None)
    await ledger.override({"a": "1"})
    before = [await ledger.listing(user) for user in ("ann", "bob")]
    keys = [key async for key in ledger.kept()]
    await ledger.clear()
    assert await ledger.counts() == []
    await ledger.put_kept(mend(keys, Books.of(keys, ())))
    assert [await ledger.listing(user) for user in ("ann", "bob")] == before
    assert await ledger.overrides() == (1, {"a": "1"})
    assert await ledger.prompts([job.id for job in jobs]) == [b"prompt", b"prompt"]
