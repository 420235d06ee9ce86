"""find, ended, hide, trim: what a user's history shows, and for how long Redis keeps it."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.ledger import Ending, Ledger, Submitted
from scheduler.states import FailReason, JobState
from tests.factories import new_job, outcome
from tests.integration.ledger.conftest import Dump, Studio

FOR_EVER_MS = 10**10


async def finish(studio: Studio, count: int = 1, user: str = "ann", **changes: object) -> list[str]:
    ids = []
    for _ in range(count):
        job = await studio.run(await studio.submit(new_job(user, **changes)))
        await studio.ledger.settle(job.id, 1, outcome())
        ids.append(job.id)
    return ids


async def listed(studio: Studio, user: str = "ann", newest: int | None = None) -> list[str]:
    return [job.id for job in await studio.ledger.ended(user, newest=newest)]


async def record_all(ledger: Ledger) -> None:
    while events := await ledger.record_events("recorder-1", 0, 100):
        await ledger.acknowledge([event.id for event in events])


# ── find ─────────────────────────────────────────────────────────────────────


async def test_a_job_is_found_in_any_state_by_its_owner_alone(studio: Studio) -> None:
    queued = await studio.submit(new_job(prompt_id="q"))
    running = await studio.run(await studio.submit(new_job(prompt_id="r")))
    (ended,) = await finish_on_second_worker(studio)
    for prompt_id, job_id in (("q", queued.id), ("r", running.id), ("e", ended)):
        found = await studio.ledger.find("ann", prompt_id)
        assert found is not None
        assert found.id == job_id
        assert await studio.ledger.find("bob", prompt_id) is None
    assert await studio.ledger.find("ann", "nope") is None


async def finish_on_second_worker(studio: Studio) -> list[str]:
    job = await studio.run(await studio.submit(new_job(prompt_id="e")), "host-1")
    await studio.ledger.settle(job.id, 1, outcome())
    return [job.id]


async def test_unfinished_lists_active_jobs_first(studio: Studio) -> None:
    queued = [await studio.submit() for _ in range(2)]
    front = await studio.submit(new_job(front=True))
    first = await studio.run(queued[1])
    second = await studio.reserve(queued[0], "host-1")
    listed_ids = [job.id for job in await studio.ledger.unfinished("ann")]
    assert set(listed_ids[:2]) == {first.id, second.id}
    assert listed_ids[2:] == [front.id]
    assert await studio.ledger.unfinished("bob") == []


# ── ended ────────────────────────────────────────────────────────────────────


async def test_history_runs_from_the_oldest_to_the_newest_end(studio: Studio) -> None:
    ids = await finish(studio, 5)
    await finish(studio, user="bob")
    assert await listed(studio) == ids
    assert await listed(studio, newest=2) == ids[-2:]
    assert await listed(studio, newest=99) == ids
    assert await listed(studio, newest=0) == []


async def test_history_holds_failures_and_interrupted_runs_too(studio: Studio) -> None:
    refused = await studio.submit()
    await studio.ledger.refuse(studio.epoch, refused, FailReason.INFEASIBLE, "too big")
    running = await studio.run()
    await studio.ledger.cancel("ann", running.id)
    await studio.ledger.settle(running.id, 1, outcome(Ending.CANCELLED))
    assert await listed(studio) == [refused.id, running.id]


async def test_bodies_and_results_come_in_the_order_asked(studio: Studio) -> None:
    (ended,) = await finish(studio)
    queued = await studio.submit(prompt=b"q")
    ids = [queued.id, "nope", ended]
    assert await studio.ledger.prompts(ids) == [b"q", None, b"{}"]
    assert await studio.ledger.results(ids) == [None, None, outcome().result]
    found = await studio.ledger.jobs(ids)
    assert [job and job.id for job in found] == [queued.id, None, ended]
    assert await studio.ledger.prompts([]) == []


# ── hide ─────────────────────────────────────────────────────────────────────


async def test_hidden_jobs_leave_the_users_history(studio: Studio) -> None:
    ids = await finish(studio, 3)
    assert await studio.ledger.hide("ann", ids[:1]) == 1
    assert await listed(studio) == ids[1:]
    assert await studio.ledger.find("ann", ids[0]) is None
    (kept,) = await studio.ledger.jobs([ids[0]])  # the recorder still finds it
    assert kept is not None
    assert await studio.ledger.hide("ann", ids[:1]) == 0


async def test_hiding_all_takes_only_ones_own_ended_jobs(studio: Studio) -> None:
    await finish(studio, 3)
    bobs = await finish(studio, user="bob")
    queued = await studio.submit()
    assert await studio.ledger.hide("ann", None) == 3
    assert await listed(studio) == []
    assert await listed(studio, "bob") == bobs
    assert [job.id for job in await studio.ledger.unfinished("ann")] == [queued.id]


async def test_nobody_hides_somebody_elses_or_unfinished_jobs(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    anns = await finish(studio)
    queued = await studio.submit()
    before = dump()
    assert await studio.ledger.hide("bob", anns) == 0
    assert await studio.ledger.hide("ann", [queued.id, "nope"]) == 0
    assert dump() == before


async def test_a_hidden_prompt_id_may_be_used_again(studio: Studio) -> None:
    await finish(studio, prompt_id="p")
    await studio.ledger.hide("ann", None)
    again = new_job(prompt_id="p")
    assert await studio.ledger.submit(again, b"{}", max_queued=None) == Submitted(2, 1)
    await record_all(studio.ledger)
    await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS)
    found = await studio.ledger.find("ann", "p")
    assert found is not None
    assert found.id == again.id


# ── trim ─────────────────────────────────────────────────────────────────────


async def test_the_oldest_beyond_keep_are_forgotten_whole(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    ids = await finish(studio, 4)
    bobs = await finish(studio, user="bob")
    await record_all(studio.ledger)
    assert await studio.ledger.trim(studio.epoch, 2, FOR_EVER_MS) == 2
    assert await listed(studio) == ids[2:]
    assert await listed(studio, "bob") == bobs
    assert await studio.ledger.jobs(ids[:2]) == [None, None]
    assert await studio.ledger.prompts(ids[:2]) == [None, None]
    assert await studio.ledger.results(ids[:2]) == [None, None]
    assert await studio.ledger.find("ann", ids[0]) is None
    # What already went out (events, orders) is not called back.
    rest = {key: value for key, value in dump().items() if not key.endswith((":events", ":host"))}
    assert ids[0] not in repr(rest)


async def test_what_is_older_than_the_limit_is_forgotten(studio: Studio) -> None:
    await finish(studio, 2)
    await record_all(studio.ledger)
    assert await studio.ledger.trim(studio.epoch, 200, FOR_EVER_MS) == 0
    assert await studio.ledger.trim(studio.epoch, 200, -1000) == 2


async def test_an_idempotency_key_is_free_again_once_its_job_is_forgotten(studio: Studio) -> None:
    await finish(studio, idempotency_key="k")
    await record_all(studio.ledger)
    await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS)
    reply = await studio.ledger.submit(new_job(idempotency_key="k"), b"{}", max_queued=None)
    assert reply == Submitted(2, 1)


async def test_hidden_and_cancelled_jobs_are_forgotten_too(studio: Studio) -> None:
    (hidden,) = await finish(studio)
    await studio.ledger.hide("ann", None)
    cancelled = await studio.submit()
    await studio.ledger.cancel("ann", cancelled.id)
    await record_all(studio.ledger)
    assert await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 2
    assert await studio.ledger.jobs([hidden, cancelled.id]) == [None, None]


async def test_unfinished_jobs_are_never_forgotten(studio: Studio) -> None:
    running, queued = await studio.run(), await studio.submit()
    await record_all(studio.ledger)
    assert await studio.ledger.trim(studio.epoch, 0, -1000) == 0
    assert {job.id for job in await studio.ledger.unfinished("ann")} == {running.id, queued.id}


async def test_what_the_recorder_has_not_stored_stays(studio: Studio) -> None:
    ledger = studio.ledger
    first = await finish(studio, 2)
    await record_all(ledger)
    second = await finish(studio, 2)
    assert await ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 2
    assert await listed(studio) == second
    taken = await ledger.record_events("recorder-1", 0, 100)  # delivered, not acknowledged
    assert await ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 0
    settled = [
        event for event in taken if event.job == second[1] and event.state is JobState.SUCCEEDED
    ]
    await ledger.acknowledge([event.id for event in taken if event not in settled])
    assert await ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 1
    assert await listed(studio) == second[1:]
    await ledger.acknowledge([event.id for event in settled])
    assert await ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 1
    assert await ledger.jobs(first + second) == [None] * 4


async def test_without_a_recorder_ten_times_as_much_is_kept(studio: Studio) -> None:
    ids = await finish(studio, 12)
    assert await studio.ledger.trim(studio.epoch, 1, FOR_EVER_MS) == 2
    assert await listed(studio) == ids[2:]


async def test_trimming_hundreds_takes_them_all(studio: Studio) -> None:
    for _ in range(250):
        job = await studio.submit()
        await studio.ledger.cancel("ann", job.id)
    await record_all(studio.ledger)
    assert await studio.ledger.trim(studio.epoch, 5, FOR_EVER_MS) == 245
