from __future__ import annotations

from pathlib import Path

import msgspec

from worker_agent.spool import Batch, Spool


def batch(last: int, worker: str = "host-0", size: int = 10) -> Batch:
    records = msgspec.Raw(msgspec.json.encode([{"kind": "sample", "seq": last, "x": "y" * size}]))
    return Batch(
        agent="host", worker=worker, gpu="g", boot="b", count=2, last=last, records=records
    )


def told(spool: Spool) -> list[Batch]:
    found = []
    while (oldest := spool.oldest()) is not None:
        found.append(oldest[1])
        spool.drop(oldest[0])
    return found


def test_batches_come_back_in_their_order_also_to_the_next_agent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: 1.0)
    for last in range(12):
        spool.put(batch(last))
    again = Spool(tmp_path, lambda: 1.0)
    again.put(batch(12))
    assert [one.last for one in told(again)] == list(range(13))
    assert len(Spool(tmp_path, lambda: 1.0)) == 0


def test_what_does_not_fit_is_counted_and_the_newest_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: 7.0, most_bytes=20_000)
    for last in range(60):
        spool.put(batch(last, f"host-{last % 2}", size=1000))
    found = told(spool)
    assert found[-1].last == 59
    gaps = [
        record
        for one in found
        for record in msgspec.json.decode(one.told.records)
        if record["kind"] == "gap"
    ]
    kept = sum(one.count for one in found) - sum(gap["lost"] for gap in gaps)
    assert kept + sum(gap["lost"] for gap in gaps) == 60 * 2
    assert {one.worker for one in found if b"gap" in one.told.records} == {"host-0", "host-1"}
    assert all(gap["at"] == 7.0 for gap in gaps)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000


def test_a_damaged_file_stops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: 1.0)
    spool.put(batch(1))
    spool.put(batch(2))
    min(tmp_path.iterdir()).write_text("{")
    assert [one.last for one in told(spool)] == [2]
