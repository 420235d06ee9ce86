"""Catalogues: what workers offer is there for every plan that sees the worker."""

from __future__ import annotations

from typing import Any

from scheduler.catalogue import Catalogue, describe
from scheduler.ledger import EventKind, Ledger
from tests.factories import new_job, report, worker
from tests.integration.ledger.conftest import Connect

INFO: dict[str, Any] = {"Loader": {"input": {"required": {"name": [["a"], {}]}}}}


async def test_a_plan_sees_what_its_workers_offer(ledger: Ledger) -> None:
    digest, document = describe(INFO)
    await ledger.put_catalogue(digest, document)
    await ledger.put_catalogue(digest, document)
    await ledger.report(report(workers=[worker("host-0", "host-gpu-0", catalogue=digest)]))
    snapshot = await ledger.snapshot(10)
    assert [one.catalogue for one in snapshot.workers] == [digest]
    assert snapshot.catalogues == {digest: Catalogue(document)}
    assert (await ledger.pool()).workers["host-0"].catalogue == digest


async def test_one_that_nobody_put_is_left_out(ledger: Ledger) -> None:
    await ledger.report(report(workers=[worker("host-0", "host-gpu-0", catalogue="gone")]))
    assert (await ledger.snapshot(10)).catalogues == {}
    assert await ledger.catalogues(["gone", ""]) == {}


async def test_another_process_reads_it_once_it_is_put(ledger: Ledger, connect: Connect) -> None:
    other = connect()
    digest, document = describe(INFO)
    assert await other.catalogues([digest]) == {}
    await ledger.put_catalogue(digest, document)
    assert await other.catalogues([digest]) == {digest: Catalogue(document)}


async def test_a_worker_that_offers_something_else_is_news(ledger: Ledger) -> None:
    await ledger.report(report(workers=[worker("host-0", "host-gpu-0", catalogue="one")]))
    before = await ledger.last_event_id()
    await ledger.report(report(workers=[worker("host-0", "host-gpu-0", catalogue="one")]))
    assert await ledger.events(before, 0) == []
    await ledger.report(report(workers=[worker("host-0", "host-gpu-0", catalogue="two")]))
    (event,) = await ledger.events(before, 0)
    assert (event.kind, event.worker, event.reason) == (
        EventKind.CAPACITY,
        "host-0",
        "catalogue",
    )


async def test_a_job_keeps_what_it_asks_for(ledger: Ledger) -> None:
    await ledger.submit(new_job(id="j", requires="abcdefgh"), b"{}", max_queued=None)
    (found,) = await ledger.jobs(["j"])
    assert found is not None
    assert found.requires == "abcdefgh"
    assert (await ledger.snapshot(10)).backlogs[0].jobs[0].requires == "abcdefgh"
