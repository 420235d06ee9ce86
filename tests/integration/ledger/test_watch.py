"""events, recorder, pool, counts, gateways, ping."""

from __future__ import annotations

import asyncio
from typing import Any

from scheduler.ledger import Ending, EventKind, Ledger, UserCounts
from scheduler.states import ACTIVE, JobState
from tests.factories import new_job, outcome
from tests.integration.ledger.conftest import PASSED_MS, Connect, Studio


async def test_a_pool_without_events_starts_at_the_beginning(ledger: Ledger) -> None:
    assert await ledger.last_event_id() == "0-0"
    assert await ledger.events("0-0", 0) == []


async def test_events_after_a_cursor_are_those_not_yet_seen(studio: Studio) -> None:
    await studio.submit()
    cursor = await studio.ledger.last_event_id()
    assert await studio.ledger.events(cursor, 0) == []
    first, second = await studio.submit(), await studio.submit()
    events = await studio.ledger.events(cursor, 0)
    assert [event.job for event in events] == [first.id, second.id]
    assert [event.job for event in await studio.ledger.events(events[0].id, 0)] == [second.id]
    assert events[0].at_ms == first.submitted_ms or events[0].at_ms > 0


async def test_an_event_wakes_who_waits_for_it(studio: Studio) -> None:
    cursor = await studio.ledger.last_event_id()
    waiting = asyncio.create_task(studio.ledger.events(cursor, 5000))
    await asyncio.sleep(0.02)
    job = await studio.submit()
    (event,) = await waiting
    assert event.job == job.id


async def test_waiting_ends_with_nothing(ledger: Ledger) -> None:
    assert await ledger.events("0-0", 20) == []


async def test_replaying_the_events_gives_the_same_states(studio: Studio) -> None:
    ledger = studio.ledger
    queued = await studio.submit()
    done = await studio.run()
    await ledger.settle(done.id, 1, outcome())
    lost = await studio.run(lease_ms=PASSED_MS)
    await ledger.reap(studio.epoch, 2)
    cancelling = await studio.run()
    await ledger.cancel("ann", cancelling.id)
    out = await studio.run(worker_id="host-1")
    await ledger.settle(out.id, 1, outcome(Ending.OOM))
    cancelled = await studio.submit()
    await ledger.cancel("ann", cancelled.id)

    states: dict[str, JobState] = {}
    revs: dict[str, int] = {}
    remaining = 0
    for event in await ledger.events("0-0", 0):
        if event.job:
            assert event.state is not None
            states[event.job] = event.state
            revs[event.job] = revs.get(event.job, 0) + 1
            remaining = event.remaining
    jobs = {job_id: await studio.job(job_id) for job_id in states}
    assert states == {job_id: job.state for job_id, job in jobs.items()}
    assert revs == {job_id: job.rev for job_id, job in jobs.items()}
    assert remaining == await ledger.remaining("ann") == 4
    assert {queued.id, lost.id} <= set(states)


# ── the recorder ─────────────────────────────────────────────────────────────


async def test_the_recorder_gets_what_happened_before_it_came(studio: Studio) -> None:
    job = await studio.submit()
    events = await studio.ledger.record_events("r", 0, 100)
    assert [event.kind for event in events] == [EventKind.CAPACITY, EventKind.SUBMITTED]
    assert events[1].job == job.id


async def test_events_are_delivered_until_acknowledged(studio: Studio) -> None:
    await studio.submit()
    first = await studio.ledger.record_events("r", 0, 100)
    assert await studio.ledger.record_events("r", 0, 100) == first
    await studio.ledger.acknowledge([first[0].id])
    assert await studio.ledger.record_events("r", 0, 100) == first[1:]
    await studio.ledger.acknowledge([first[1].id])
    assert await studio.ledger.record_events("r", 0, 100) == []
    await studio.ledger.acknowledge([])


async def test_two_recorders_share_the_events(studio: Studio) -> None:
    for _ in range(3):
        await studio.submit()
    first = await studio.ledger.record_events("r1", 0, 2)
    second = await studio.ledger.record_events("r2", 0, 2)
    assert len(first) == len(second) == 2
    assert {event.id for event in first}.isdisjoint(event.id for event in second)


async def test_what_a_dead_recorder_left_goes_to_the_next(
    studio: Studio, raw: Any, pool_name: str
) -> None:
    left = await studio.ledger.record_events("dead", 0, 100)
    assert await studio.ledger.record_events("next", 0, 100) == []
    stream = f"vg:{{{pool_name}}}:events"
    raw.execute_command("XCLAIM", stream, "recorder", "dead", 0, left[0].id, "IDLE", 60_000)
    assert await studio.ledger.record_events("next", 0, 100) == left


async def test_an_event_cut_off_before_it_was_stored_does_not_block_the_recorder(
    studio: Studio, raw: Any, pool_name: str
) -> None:
    await studio.ledger.record_events("r", 0, 100)
    raw.xtrim(f"vg:{{{pool_name}}}:events", maxlen=0, approximate=False)
    job = await studio.submit()
    events = await studio.ledger.record_events("r", 0, 100)
    assert [event.job for event in events] == [job.id]


async def test_a_recorder_can_wait(studio: Studio) -> None:
    await studio.ledger.acknowledge(
        [event.id for event in await studio.ledger.record_events("r", 0, 100)]
    )
    assert await studio.ledger.record_events("r", 20, 100) == []
    waiting = asyncio.create_task(studio.ledger.record_events("r", 5000, 100))
    await asyncio.sleep(0.02)
    job = await studio.submit()
    assert [event.job for event in await waiting] == [job.id]


async def test_recent_events_outlive_their_recording_for_gateways_that_reconnect(
    studio: Studio,
) -> None:
    await studio.submit()
    events = await studio.ledger.record_events("r", 0, 100)
    await studio.ledger.acknowledge([event.id for event in events])
    await studio.ledger.trim(studio.epoch, 0, 0)
    assert await studio.ledger.events("0-0", 0) == events


# ── numbers ──────────────────────────────────────────────────────────────────


async def test_counts_name_every_user_with_unfinished_jobs(studio: Studio) -> None:
    await studio.run()
    await studio.submit()
    await studio.submit(new_job("bob"))
    gone = await studio.submit(new_job("eve"))
    await studio.ledger.cancel("eve", gone.id)
    assert await studio.ledger.counts() == [
        UserCounts(user="ann", queued=1, running=1),
        UserCounts(user="bob", queued=1, running=0),
    ]
    assert [await studio.ledger.remaining(user) for user in ("ann", "bob", "eve")] == [2, 1, 0]


async def test_a_snapshots_active_jobs_are_active(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.cancel("ann", job.id)
    active = (await studio.ledger.snapshot(1)).active
    assert {one.state for one in active.values()} <= ACTIVE
    assert set(active) == {job.id}


async def test_gateways_are_known_while_they_say_so(ledger: Ledger) -> None:
    await ledger.announce_gateway("one", "http://127.0.0.1:1", 60_000)
    await ledger.announce_gateway("two", "http://127.0.0.1:2", PASSED_MS)
    assert (await ledger.pool()).gateways == {"one": "http://127.0.0.1:1"}
    await ledger.announce_gateway("one", "http://127.0.0.1:3", 60_000)
    assert (await ledger.pool()).gateways == {"one": "http://127.0.0.1:3"}


async def test_a_server_that_answers_pings(ledger: Ledger) -> None:
    assert await ledger.ping()


async def test_pools_on_one_server_never_meet(studio: Studio, connect: Connect) -> None:
    other = connect(f"{connect.pool}-other")
    job = await studio.submit()
    assert await other.jobs([job.id]) == [None]
    assert await other.lead("other", 60_000) == 1
    assert (await other.pool()).workers == {}
    await other.close()
