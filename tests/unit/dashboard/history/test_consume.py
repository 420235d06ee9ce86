"""A stream is read on whatever is away; nothing that comes in it ends the reading."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from dashboard.history.consume import consume
from dashboard.history.records import rows_of
from scheduler.ledger import LedgerUnavailable
from scheduler.ledger_records import RecordBatch, ToldRecords
from store.errors import StoreFull


@pytest.mark.parametrize(
    "away",
    [
        OperationalError("", {}, Exception()),
        LedgerUnavailable("away"),
        OSError(),
        StoreFull("the database's disk is full; make room there"),
    ],
)
async def test_a_batch_is_taken_again_when_what_was_away_is_back(away: Exception) -> None:
    tries: list[int] = []
    pauses: list[float] = []

    async def once() -> bool:
        tries.append(1)
        if len(tries) == 3:
            raise asyncio.CancelledError
        raise away

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with pytest.raises(asyncio.CancelledError):
        await consume("events", once, lambda: 0.0, sleep)
    assert pauses == [0.2, 0.5]


_GOOD = b'{"kind":"node","seq":2,"job":"j","node":"9","class":"VAEDecode","started":1,"seconds":1}'


@pytest.mark.parametrize(
    "bad",
    [
        b'{"kind":"node","seq":1,"job":"j","node":"\xff","class":"x","started":1,"seconds":1}',
        b'{"kind":"node","seq":1,"job":"j","node":"1","class":"x","started":1,"seconds":1,"inputs":'
        + b"[" * 5000
        + b"]" * 5000
        + b"}",
    ],
)
def test_a_record_that_nobody_can_read_holds_up_no_other(bad: bytes) -> None:
    told = ToldRecords(
        agent="host", worker="host-0", gpu="", boot="b1", records=b"[" + bad + b"," + _GOOD + b"]"
    )
    other = ToldRecords(agent="host", worker="host-0", gpu="", boot="b1", records=b"[%s]" % _GOOD)
    rows = rows_of([RecordBatch(id="1-0", told=told), RecordBatch(id="2-0", told=other)])
    assert [row["node"] for row in rows.nodes][-1] == "9"
    assert rows.unknown == 1
