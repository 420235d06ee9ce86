"""submit: durable, once, in the user's own order, within the user's limit."""

from __future__ import annotations

import asyncio

from scheduler.ledger import Duplicate, EventKind, Ledger, OverCap, Submitted
from scheduler.states import InputFile, JobState, Lane, NewJob, Step
from tests.factories import GIB, new_job
from tests.integration.ledger.conftest import Connect, Studio


async def order(ledger: Ledger, user: str = "ann") -> list[str]:
    return [job.id for job in await ledger.unfinished(user)]


async def test_what_was_submitted_is_what_is_read(ledger: Ledger) -> None:
    new = new_job(
        user="ann@studio",
        group="lighting",
        prompt_id="my own id",
        client_id="",
        lane=Lane.BATCH,
        models=("checkpoints/ä.safetensors", "loras/b.safetensors"),
        need_seconds=1.5,
        needs_gpu=False,
        inputs=(InputFile(path="sub/pic.png", sha256="ab" * 32, size_bytes=5),),
        idempotency_key="key with blanks",
        parents=("p", "pp"),
        model_bytes=(6 * GIB, 0),
        load_seconds=4.25,
        late_seconds=2.5,
        curve=(Step(2 * GIB, 3.5), Step(3 * GIB, 2.0)),
        host_bytes=7 * GIB,
        deadline_s=90.5,
    )
    await ledger.submit(new, b'{"prompt": "\xc3\xa4"}', max_queued=None)
    job = await ledger.find("ann@studio", "my own id")
    assert job is not None
    for name in NewJob.__slots__:
        if name not in ("front", "idempotency_key", "deadline_s"):
            assert getattr(job, name) == getattr(new, name), name
    assert job.deadline_ms == job.submitted_ms + 90_500
    assert (job.state, job.rev, job.attempt, job.number) == (JobState.QUEUED, 1, 0, 1)
    assert job.submitted_ms > 0
    assert (job.worker, job.gpu, job.reason, job.wait_reason) == ("", "", None, None)
    assert await ledger.prompts([new.id]) == [b'{"prompt": "\xc3\xa4"}']


async def test_a_job_without_client_id_differs_from_one_with_an_empty_one(
    ledger: Ledger,
) -> None:
    without, empty = new_job(client_id=None), new_job(client_id="")
    for new in (without, empty):
        await ledger.submit(new, b"{}", max_queued=None)
    assert [job and job.client_id for job in await ledger.jobs([without.id, empty.id])] == [
        None,
        "",
    ]
    assert [event.client_id for event in await ledger.events("0-0", 0)] == [None, ""]


async def test_numbers_count_per_user(ledger: Ledger) -> None:
    replies = [
        await ledger.submit(new_job(user), b"{}", max_queued=None) for user in ("ann", "ann", "bob")
    ]
    assert replies == [Submitted(1, 1), Submitted(2, 2), Submitted(1, 1)]


async def test_the_last_job_sent_to_the_front_goes_first(ledger: Ledger) -> None:
    plain, front, later_front = new_job(), new_job(front=True), new_job(front=True)
    for job in (plain, front, later_front):
        await ledger.submit(job, b"{}", max_queued=None)
    assert await order(ledger) == [later_front.id, front.id, plain.id]


async def test_front_is_the_front_of_the_users_own_share(ledger: Ledger) -> None:
    anns, bobs = new_job("ann"), new_job("bob", front=True)
    await ledger.submit(anns, b"{}", max_queued=None)
    await ledger.submit(bobs, b"{}", max_queued=None)
    assert await order(ledger, "ann") == [anns.id]


async def test_a_job_id_is_submitted_once(ledger: Ledger) -> None:
    job = new_job()
    await ledger.submit(job, b"first", max_queued=None)
    again = await ledger.submit(job, b"second", max_queued=None)
    assert again == Duplicate(job.id, job.prompt_id, 1, same_key=False)
    assert await ledger.prompts([job.id]) == [b"first"]
    assert await ledger.remaining("ann") == 1


async def test_a_prompt_id_is_taken_once_per_user(ledger: Ledger) -> None:
    first = new_job(prompt_id="p")
    await ledger.submit(first, b"{}", max_queued=None)
    again = await ledger.submit(new_job(prompt_id="p"), b"{}", max_queued=None)
    assert again == Duplicate(first.id, "p", 1, same_key=False)
    other = await ledger.submit(new_job("bob", prompt_id="p"), b"{}", max_queued=None)
    assert other == Submitted(1, 1)


async def test_a_client_cannot_take_the_id_minted_for_another_job(ledger: Ledger) -> None:
    minted = new_job()
    await ledger.submit(minted, b"{}", max_queued=None)
    reply = await ledger.submit(new_job(prompt_id=minted.id), b"{}", max_queued=None)
    assert reply == Duplicate(minted.id, minted.id, 1, same_key=False)


async def test_an_idempotency_key_makes_one_job(ledger: Ledger) -> None:
    first = new_job(prompt_id="a b", idempotency_key="k")
    await ledger.submit(first, b"{}", max_queued=None)
    again = await ledger.submit(new_job(idempotency_key="k"), b"{}", max_queued=None)
    assert again == Duplicate(first.id, "a b", 1, same_key=True)
    other = await ledger.submit(new_job("bob", idempotency_key="k"), b"{}", max_queued=None)
    assert other == Submitted(1, 1)
    assert await order(ledger) == [first.id]


async def test_a_repeated_key_is_answered_as_such_even_over_the_limit(ledger: Ledger) -> None:
    first = new_job(idempotency_key="k")
    await ledger.submit(first, b"{}", max_queued=1)
    again = await ledger.submit(new_job(idempotency_key="k"), b"{}", max_queued=1)
    assert isinstance(again, Duplicate)


async def test_a_thousand_racing_calls_with_one_key_make_one_job(ledger: Ledger) -> None:
    jobs = [new_job(idempotency_key="k") for _ in range(200)]
    replies = await asyncio.gather(*(ledger.submit(job, b"{}", max_queued=None) for job in jobs))
    assert sum(isinstance(reply, Submitted) for reply in replies) == 1
    assert await ledger.remaining("ann") == 1


async def test_the_limit_counts_unfinished_jobs_running_ones_too(studio: Studio) -> None:
    await studio.run()
    await studio.submit()
    reply = await studio.ledger.submit(new_job(), b"{}", max_queued=2)
    assert reply == OverCap(2, 2)
    assert await studio.ledger.remaining("ann") == 2
    assert await studio.ledger.submit(new_job("bob"), b"{}", max_queued=2) == Submitted(1, 1)


async def test_racing_calls_never_pass_the_limit(ledger: Ledger) -> None:
    replies = await asyncio.gather(
        *(ledger.submit(new_job(), b"{}", max_queued=7) for _ in range(50))
    )
    assert sum(isinstance(reply, Submitted) for reply in replies) == 7
    assert sum(reply == OverCap(7, 7) for reply in replies) == 43


async def test_two_hundred_calls_at_once_share_the_connections(ledger: Ledger) -> None:
    replies = await asyncio.gather(
        *(ledger.submit(new_job(), b"{}", max_queued=None) for _ in range(200))
    )
    numbers = sorted(reply.number for reply in replies if isinstance(reply, Submitted))
    assert numbers == list(range(1, 201))


async def test_the_event_says_whose_and_how_many_remain(ledger: Ledger) -> None:
    job = new_job()
    await ledger.submit(new_job(), b"{}", max_queued=None)
    await ledger.submit(job, b"{}", max_queued=None)
    event = (await ledger.events("0-0", 0))[-1]
    assert (event.kind, event.job, event.user) == (EventKind.SUBMITTED, job.id, "ann")
    assert (event.prompt_id, event.client_id) == (job.prompt_id, "client-1")
    assert (event.state, event.remaining) == (JobState.QUEUED, 2)


async def test_the_same_call_repeated_after_a_lost_answer_answers_the_same(
    connect: Connect,
) -> None:
    """A retry on a broken connection is the same call: it must not look like a duplicate."""
    ledger = connect(new_call=lambda: "one-call")
    job = new_job(idempotency_key="k")
    first = await ledger.submit(job, b"{}", max_queued=1)
    assert await ledger.submit(job, b"{}", max_queued=1) == first == Submitted(1, 1)
    assert len(await ledger.events("0-0", 0)) == 1
    await ledger.close()
