"""What probes told, from agents to the recorder."""

from __future__ import annotations

import json
from typing import Any

from scheduler.ledger import Ledger
from scheduler.ledger_records import ToldRecords


def told(first: int = 1, count: int = 1, **changes: Any) -> ToldRecords:
    records = [{"seq": seq, "kind": "trouble"} for seq in range(first, first + count)]
    fields: dict[str, Any] = {"agent": "host", "worker": "host-0", "gpu": "gpu-0", "boot": "b1"}
    return ToldRecords(**(fields | {"records": json.dumps(records).encode()} | changes))


async def test_what_was_told_comes_in_order_and_as_it_was(ledger: Ledger) -> None:
    batches = [told(1, 3), told(4, gpu="", worker="host-1"), told(5, boot="b2")]
    for batch in batches:
        assert await ledger.tell(batch)
    assert [batch.told for batch in await ledger.told("r", 1, 10)] == batches


async def test_it_comes_again_until_it_is_stored(ledger: Ledger) -> None:
    for seq in (1, 2, 3):
        await ledger.tell(told(seq))
    first = await ledger.told("r", 1, 2)
    assert await ledger.told("r", 1, 2) == first
    await ledger.stored([first[0].id])
    (again,) = await ledger.told("r", 1, 2)
    assert again == first[1]
    await ledger.stored([again.id])
    (third,) = await ledger.told("r", 1, 2)
    assert third.told == told(3)


async def test_two_recorders_share_and_neither_gets_what_the_other_has(ledger: Ledger) -> None:
    for seq in (1, 2):
        await ledger.tell(told(seq))
    one, other = await ledger.told("a", 1, 1), await ledger.told("b", 1, 5)
    assert [batch.told for batch in (*one, *other)] == [told(1), told(2)]


async def test_a_full_backlog_takes_nothing_more_and_what_is_stored_takes_no_room(
    ledger: Ledger,
) -> None:
    big = b'["' + b"x" * (32 * 2**20) + b'"]'
    assert await ledger.told("r", 1, 1) == []
    taken = 0
    while await ledger.tell(told(records=big, boot=str(taken))):
        taken += 1
    assert 4 < taken < 10
    kept: set[str] = set()
    while batches := await ledger.told("r", 1, 4):
        await ledger.stored([batch.id for batch in batches])
        # a machine that is busy may answer too late: what was told again is there twice
        kept |= {batch.told.boot for batch in batches}
    assert kept == {str(boot) for boot in range(taken)}
    assert await ledger.tell(told(records=big))


async def test_where_nobody_has_ever_recorded_the_newest_are_kept(ledger: Ledger) -> None:
    big = b'["' + b"x" * (32 * 2**20) + b'"]'
    for seq in range(12):
        assert await ledger.tell(told(records=big, boot=str(seq)))
    boots = [batch.told.boot for batch in await ledger.told("r", 1, 100)]
    assert boots[-1] == "11"
    assert len(boots) < 10
