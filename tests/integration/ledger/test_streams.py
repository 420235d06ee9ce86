"""How far the recorder is behind, as metrics tell it."""

from __future__ import annotations

from scheduler.ledger import Ledger
from scheduler.ledger_records import StreamState
from tests.factories import new_job
from tests.integration.ledger.test_told import told


async def state(ledger: Ledger) -> dict[str, StreamState]:
    return {stream.name: stream for stream in await ledger.streams()}


async def test_an_empty_pool_has_empty_streams(ledger: Ledger) -> None:
    found = await state(ledger)
    assert list(found) == ["transitions", "records"]
    assert all(one.entries == one.waiting == 0 and one.oldest_ms is None for one in found.values())


async def test_transitions_wait_until_they_are_acknowledged(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.submit(new_job(), b"{}", max_queued=None)
    before = (await state(ledger))["transitions"]
    assert (before.entries, before.waiting) == (3, 3)
    first, *others = await ledger.record_events("r", 1, 2)
    assert before.oldest_ms == first.at_ms
    assert (await state(ledger))["transitions"].waiting == 3
    await ledger.acknowledge([first.id])
    held = (await state(ledger))["transitions"]
    assert (held.entries, held.waiting, held.oldest_ms) == (3, 2, others[0].at_ms)
    last = await ledger.record_events("r", 1, 2)
    await ledger.acknowledge([event.id for event in (*others, *last)])
    (third,) = await ledger.record_events("r", 1, 2)
    assert (await state(ledger))["transitions"].oldest_ms == third.at_ms
    await ledger.acknowledge([third.id])
    done = (await state(ledger))["transitions"]
    assert (done.entries, done.waiting, done.oldest_ms) == (3, 0, None)


async def test_records_wait_until_they_are_stored(ledger: Ledger) -> None:
    await ledger.tell(told(1))
    await ledger.tell(told(2))
    batches = await ledger.told("r", 1, 1)
    assert (await state(ledger))["records"].waiting == 2
    await ledger.stored([batch.id for batch in batches])
    found = (await state(ledger))["records"]
    assert (found.entries, found.waiting) == (1, 1)
    assert found.oldest_ms is not None
