"""Records are taken once each, in order, whichever way they come, and only those of our prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from scheduler.ledger import LedgerUnavailable
from scheduler.states import Job, JobState, NewJob
from tests.factories import new_job
from worker_agent.owners import Owners
from worker_agent.probe_client import Batch, ProbeClient
from worker_agent.probe_records import ProbeRecords

UUID = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"


class Books:
    """The ledger's part: jobs by id."""

    def __init__(self, *jobs: Job) -> None:
        self.rows = {job.id: job for job in jobs}
        self.asked: list[str] = []
        self.away = False

    async def jobs(self, ids: Sequence[str]) -> list[Job | None]:
        if self.away:
            raise LedgerUnavailable("away")
        self.asked += ids
        return [self.rows.get(id_) for id_ in ids]


class Client:
    """A probe whose ring holds what a test puts there."""

    def __init__(self, boot: str = "b", *records: dict[str, Any]) -> None:
        self.boot = boot
        self.ring = list(records)
        self.asked: list[int] = []

    async def records(self, after: int) -> Batch:
        self.asked.append(after)
        found = tuple(record for record in self.ring if record["seq"] > after)
        return Batch(boot=self.boot, records=found)


def job(**changes: Any) -> Job:
    new = new_job("ann")
    names = {field.name for field in fields(NewJob)} & {field.name for field in fields(Job)}
    same = {name: getattr(new, name) for name in names} | {"id": UUID}
    running = {"state": JobState.RUNNING, "rev": 1, "attempt": 2, "number": 1, "worker": "host-0"}
    return Job(**(same | running | {"submitted_ms": 0} | changes))


def record(seq: int, prompt: str | None = UUID, kind: str = "node", **more: Any) -> dict[str, Any]:
    return {"seq": seq, "kind": kind, **({"prompt": prompt} if prompt else {}), **more}


class Bed:
    def __init__(self, *jobs: Job) -> None:
        self.books = Books(*jobs)
        self.taken: list[Mapping[str, Any]] = []
        owners = Owners("host-0", cast(Any, self.books))
        self.records = ProbeRecords(owners, self._take)
        self.records.begin("b")

    def _take(self, boot: str, records: Iterable[Mapping[str, Any]]) -> None:
        assert boot == "b"
        self.taken += records

    def frame(self, *records: dict[str, Any], boot: str = "b") -> None:
        data = {"boot": boot, "first": records[0]["seq"], "records": list(records)}
        self.records.take(data)

    async def fetch(self, client: Client) -> None:
        await self.records.fetch(cast(ProbeClient, client))

    @property
    def seqs(self) -> list[int]:
        return [record["seq"] for record in self.taken]


async def test_records_say_whose_they_are() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    bed.frame(record(1), record(2, None, "sample"))
    assert [one["user"] for one in bed.taken] == ["ann", "ann"]
    assert bed.taken[0]["job"] == UUID
    assert bed.taken[0]["attempt"] == 2


async def test_records_of_a_prompt_that_is_not_ours_are_dropped() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    bed.frame(record(1, OTHER), record(2))
    assert bed.seqs == [2]


async def test_a_node_pack_cannot_say_whose_a_record_is() -> None:
    bed = Bed()
    forged = {"job": "j", "user": "eve", "attempt": 9}
    bed.frame(record(1, None, "sample", **forged))
    bed.records.follow(job(), UUID)
    bed.frame(record(2, None, "sample", **forged), record(3, **forged))
    assert [one.get("user") for one in bed.taken] == [None, "ann", "ann"]
    assert "job" not in bed.taken[0]


async def test_what_comes_twice_is_taken_once() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    bed.frame(record(1), record(2))
    await bed.fetch(Client("b", record(1), record(2), record(3)))
    bed.frame(record(2), record(3), record(4))
    assert bed.seqs == [1, 2, 3, 4]


async def test_a_frame_after_a_hole_waits_until_the_hole_is_filled() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    client = Client("b", *(record(seq) for seq in range(1, 5)))
    await bed.fetch(Client("b", record(1)))
    assert not bed.records.due
    bed.frame(record(3), record(4))
    assert bed.seqs == [1]
    assert bed.records.due
    await bed.fetch(client)
    assert bed.seqs == [1, 2, 3, 4]
    assert client.asked == [1]
    assert not bed.records.due


async def test_frames_of_another_life_wait_until_it_is_known() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    bed.frame(record(1), boot="other")
    assert bed.seqs == []


async def test_a_broken_frame_is_asked_for_again() -> None:
    bed = Bed()
    await bed.fetch(Client())
    bed.records.take({"boot": "b", "records": "none"})
    assert bed.records.due


async def test_a_probe_is_told_now_and_then_what_it_may_drop() -> None:
    bed = Bed()
    await bed.fetch(Client())
    bed.records.follow(job(), UUID)
    for seq in range(1, 2048):
        bed.frame(record(seq))
    assert not bed.records.due
    bed.frame(record(2048))
    assert bed.records.due
    client = Client()
    await bed.fetch(client)
    assert client.asked == [2048]
    assert not bed.records.due


async def test_records_of_an_earlier_agents_prompt_are_known_by_the_ledger() -> None:
    bed = Bed(job(attempt_uuid=UUID))
    await bed.fetch(Client("b", record(1), record(2)))
    assert [one["user"] for one in bed.taken] == ["ann", "ann"]
    await bed.fetch(Client("b", record(3)))
    assert bed.books.asked == [UUID]


async def test_a_job_that_ran_elsewhere_or_under_another_name_is_not_ours() -> None:
    for found in (
        replace(job(attempt_uuid=UUID), worker="host-1"),
        job(attempt_uuid=OTHER),
    ):
        bed = Bed(found)
        await bed.fetch(Client("b", record(1)))
        assert bed.seqs == []


async def test_odd_prompts_are_not_looked_up() -> None:
    bed = Bed()
    await bed.fetch(Client("b", record(1, "vg:pool:users"), record(2, cast(Any, ["x"]))))
    assert bed.books.asked == []
    assert bed.seqs == []


async def test_what_only_looks_like_a_record_stops_nothing() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    odd: Any = {"seq": "abc", "kind": ["x"], "prompt": UUID, "loads": "many"}
    bed.frame(record(1), odd)
    bed.frame(record(2, kind="prompt", loads="many", load_seconds=float("nan")))
    assert bed.seqs == [1, 2]
    assert bed.records.tally.loads == 0


async def test_a_prompts_records_come_to_a_tally() -> None:
    bed = Bed()
    bed.records.follow(job(), UUID)
    bed.frame(
        record(1, kind="model", what="load", bytes=10, loaded_bytes=10),
        record(2, kind="model", what="unload", bytes=10, loaded_bytes=0),
        record(3, fallback="cpu"),
        record(4, fallback="tiled"),
    )
    tally = bed.records.tally
    assert (tally.ended, tally.partial, tally.fallback) == (False, False, "cpu")
    bed.frame(
        record(5, kind="model", what="load", bytes=10, loaded_bytes=9),
        record(6, kind="prompt", loads=2, load_seconds=1.5),
    )
    assert (tally.ended, tally.partial, tally.loads, tally.load_seconds) == (True, True, 2, 1.5)
    bed.records.follow(job(), OTHER)
    assert not bed.records.tally.ended
