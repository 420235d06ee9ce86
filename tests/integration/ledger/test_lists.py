"""changed, listing, heads, entry: what queue and history are answered from."""

from __future__ import annotations

from typing import Any

from scheduler.ledger import Ending
from scheduler.states import JobState, Lane
from tests.factories import new_job, outcome
from tests.integration.ledger.conftest import Connect, Studio
from tests.integration.ledger.test_history import FOR_EVER_MS, finish, record_all


async def test_each_transition_gives_the_users_jobs_another_name(studio: Studio) -> None:
    ledger = studio.ledger
    names = [await ledger.changed("ann")]

    async def note() -> None:
        names.append(await ledger.changed("ann"))

    job = await studio.submit()
    await note()
    await ledger.hold("ann", job.id, held=True)
    await note()
    await ledger.hold("ann", job.id, held=False)
    await note()
    await ledger.move("ann", job.id, front=True)
    await note()
    reserved = await studio.reserve(await studio.job(job.id))
    await note()
    await ledger.claim(job.id, reserved.attempt, "host-0", "uuid", "sid", 60_000)
    await note()
    await ledger.settle(job.id, 1, outcome(Ending.LOST))
    await note()
    await studio.run(await studio.job(job.id))
    await note()
    await ledger.settle(job.id, 2, outcome())
    await note()
    await ledger.hide("ann", None)
    await note()
    await ledger.stamp("ann")
    await note()
    assert len(set(names)) == len(names)


async def test_what_is_trimmed_changes_the_name_too(studio: Studio) -> None:
    await finish(studio, 2)
    await record_all(studio.ledger)
    before = await studio.ledger.changed("ann")
    await studio.ledger.trim(studio.epoch, 1, FOR_EVER_MS)
    assert await studio.ledger.changed("ann") != before


async def test_reading_and_repeating_leave_the_name_as_it_is(studio: Studio) -> None:
    running = await studio.run()
    await studio.ledger.settle(running.id, 1, outcome())
    before = await studio.ledger.changed("ann")
    await studio.ledger.settle(running.id, 1, outcome())
    await studio.ledger.listing("ann")
    await studio.ledger.entry("ann", running.prompt_id)
    assert await studio.ledger.hide("ann", ["nope"]) == 0
    assert await studio.ledger.changed("ann") == before


async def test_what_others_do_changes_nothing_of_mine(studio: Studio) -> None:
    await studio.submit()
    before = await studio.ledger.changed("ann")
    await finish(studio, user="bob")
    assert await studio.ledger.changed("ann") == before
    assert await studio.ledger.changed("nobody") == ""


async def test_a_listing_has_every_job_once_in_order_with_its_number(studio: Studio) -> None:
    ended = await finish(studio, 2)
    batch = await studio.submit(new_job(lane=Lane.BATCH))
    first, second = await studio.submit(), await studio.submit()
    front = await studio.submit(new_job(front=True))
    held = await studio.submit()
    await studio.ledger.hold("ann", held.id, held=True)
    running = await studio.run(second)
    await studio.submit(new_job("bob"))
    found = await studio.ledger.listing("ann")
    assert found.active == (running.id,)
    order = [front, first, held, batch]
    assert found.waiting == tuple((job.id, job.number) for job in order)
    assert [job_id for job_id, _ in found.ended] == ended
    assert found.changed == await studio.ledger.changed("ann")
    unfinished = await studio.ledger.unfinished("ann")
    assert [job.id for job in unfinished] == [running.id, *(job.id for job in order)]


async def test_somebody_without_jobs_has_an_empty_listing(studio: Studio) -> None:
    await studio.submit()
    found = await studio.ledger.listing("bob")
    assert (found.active, found.waiting, found.ended) == ((), (), ())


async def test_a_listing_kept_in_step_is_the_one_that_is_read_anew(
    studio: Studio, connect: Connect
) -> None:
    ledger = studio.ledger

    async def same(what: str) -> None:
        for user in ("ann", "bob"):
            assert await ledger.listing(user) == await connect().listing(user), what

    await same("nothing")
    jobs = [await studio.submit(new_job(lane=lane)) for lane in (Lane.BATCH, *Lane, *Lane)]
    await same("submitted")
    await studio.submit(new_job(front=True))
    await ledger.hold("ann", jobs[1].id, held=True)
    await ledger.move("ann", jobs[1].id, front=True)
    await same("held and moved")
    await ledger.hold("ann", jobs[1].id, held=False)
    await ledger.move("ann", jobs[2].id, front=False)
    await finish(studio, 2, user="bob")
    running = await studio.run(await studio.job(jobs[3].id))
    await same("let go and started")
    await ledger.settle(running.id, 1, outcome(Ending.LOST))
    await same("lost")
    await finish(studio, 3)
    await ledger.cancel("ann", jobs[0].id)
    await same("ended")
    await ledger.hide("ann", [(await ledger.listing("ann")).ended[0][0]])
    await studio.submit()
    await same("hidden, and one more")
    await record_all(ledger)
    await ledger.trim(studio.epoch, 1, FOR_EVER_MS)
    await studio.submit()
    await same("trimmed, and one more")
    for _ in range(150):
        await finish(studio, user="bob")
    await studio.submit()
    await same("much has happened")


async def test_a_listing_is_read_anew_where_what_has_happened_since_is_gone(
    studio: Studio, raw: Any, pool_name: str
) -> None:
    await studio.submit()
    await studio.ledger.listing("ann")
    await studio.submit()
    raw.xtrim(f"vg:{{{pool_name}}}:events", maxlen=1, approximate=False)
    assert len((await studio.ledger.listing("ann")).waiting) == 2


async def test_a_job_that_ends_twice_has_another_score_the_second_time(studio: Studio) -> None:
    first, second = await finish(studio, 2)
    scores = dict((await studio.ledger.listing("ann")).ended)
    assert scores[first] < scores[second]


async def test_heads_come_in_the_order_asked(studio: Studio) -> None:
    named = await studio.submit(new_job(prompt_id="mine", client_id="tab"))
    plain = await studio.submit(new_job(client_id=None))
    one, gone, two = await studio.ledger.heads([plain.id, "nope", named.id])
    assert gone is None
    assert one is not None
    assert two is not None
    assert (one.prompt_id, one.client_id) == (plain.prompt_id, None)
    assert (two.prompt_id, two.client_id) == ("mine", "tab")
    assert two.submitted_ms == named.submitted_ms
    assert await studio.ledger.heads([]) == []


async def test_an_entry_is_the_job_with_prompt_and_result_for_its_owner_alone(
    studio: Studio,
) -> None:
    for prompt_id in (None, "mine"):
        new = new_job() if prompt_id is None else new_job(prompt_id=prompt_id)
        job = await studio.submit(new, b'{"a": 1}')
        waiting = await studio.ledger.entry("ann", job.prompt_id)
        assert waiting is not None
        assert (waiting.job.state, waiting.result) == (JobState.QUEUED, None)
        await studio.run(job)
        await studio.ledger.settle(job.id, 1, outcome(result=b'{"outputs": {}}'))
        found = await studio.ledger.entry("ann", job.prompt_id)
        assert found is not None
        assert found.job.state is JobState.SUCCEEDED
        assert (found.prompt, found.result) == (b'{"a": 1}', b'{"outputs": {}}')
        assert await studio.ledger.entry("bob", job.prompt_id) is None
        await studio.ledger.hide("ann", [job.id])
        assert await studio.ledger.entry("ann", job.prompt_id) is None
