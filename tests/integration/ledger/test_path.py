"""One job along the whole path, on a real server."""

from __future__ import annotations

from scheduler.ledger import (
    Admitted,
    Claimed,
    EventKind,
    Ledger,
    Order,
    OrderKind,
    Renewed,
    Settled,
    Submitted,
)
from scheduler.states import JobState
from tests.factories import GIB, gpu, grant, new_job, outcome, report, worker


async def test_a_job_goes_from_submit_to_settled(ledger: Ledger) -> None:
    books: Ledger = ledger  # the whole Protocol, as mypy sees it
    await books.report(report(workers=[worker()], gpus=[gpu()]))
    job = new_job()
    assert await books.submit(job, b'{"1": {}}', max_queued=5) == Submitted(1, 1)

    epoch = await books.lead("one", 5000)
    assert epoch == 1
    snapshot = await books.snapshot(8)
    queued = snapshot.backlogs[0].jobs[0]
    assert queued.id == job.id
    admitted = await books.admit(
        epoch, queued, snapshot.workers[0], grant(4 * GIB, 20 * GIB), 15_000
    )
    assert admitted == Admitted(1)

    assert await books.next_order("host", 1) == Order(OrderKind.RUN, "host-0", job.id, 1)
    claimed = await books.claim(job.id, 1, "host-0", "uuid-1", "sid-1", 15_000)
    assert isinstance(claimed, Claimed)
    assert claimed.prompt == b'{"1": {}}'
    assert await books.renew(job.id, 1, 15_000) == Renewed(cancel=False)
    assert await books.settle(job.id, 1, outcome(peak_bytes=3)) == Settled(JobState.SUCCEEDED)

    assert [ended.id for ended in await books.ended("ann")] == [job.id]
    assert await books.results([job.id]) == [outcome().result]
    kinds = [event.kind for event in await books.events("0-0", 0)]
    assert kinds == [
        EventKind.CAPACITY,
        EventKind.SUBMITTED,
        EventKind.ADMITTED,
        EventKind.CLAIMED,
        EventKind.SETTLED,
    ]
