"""name_files, file, files: outputs are found by record, in the user's own names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scheduler.ledger import FileRecord, Ledger
from tests.factories import outcome
from tests.integration.ledger.conftest import Dump, Studio

FOR_EVER_MS = 10**12
A = ("host", "host-0")
B = ("host", "host-1")


async def name(
    ledger: Ledger,
    where: tuple[str, str],
    *files: str,
    user: str = "ann",
    type: str = "output",
) -> list[str]:
    """Name files of the user's folder on a worker; the names the user sees."""
    triples = []
    for file in files:
        folder, _, filename = f"vg/{user}/{file}".rpartition("/")
        triples.append((type, folder, filename))
    records = await ledger.name_files(user, *where, triples)
    return [f"{record.subfolder}/{record.filename}".lstrip("/") for record in records]


async def test_a_record_holds_both_names(ledger: Ledger) -> None:
    (record,) = await ledger.name_files("ann", *A, [("output", "vg/ann/sub/x", "a_00001_.png")])
    assert record == FileRecord(
        type="output",
        subfolder="sub/x",
        filename="a_00001_.png",
        agent="host",
        worker="host-0",
        worker_subfolder="vg/ann/sub/x",
        worker_filename="a_00001_.png",
    )
    assert await ledger.file("ann", "output", "sub/x", "a_00001_.png") == record
    assert await ledger.files("ann", "output") == [record]


async def test_the_users_folder_on_the_worker_is_the_top_of_their_space(
    ledger: Ledger,
) -> None:
    assert await name(ledger, A, "a_00001_.png") == ["a_00001_.png"]
    (stray,) = await ledger.name_files("ann", *A, [("output", "elsewhere", "b.png")])
    assert stray.subfolder == "elsewhere"


async def test_the_same_file_of_the_same_worker_keeps_its_name(
    ledger: Ledger, dump: Callable[[], Dump]
) -> None:
    first = await name(ledger, A, "x_00001_.png")
    await name(ledger, B, "x_00001_.png")
    assert await name(ledger, A, "x_00001_.png") == first
    assert await name(ledger, B, "x_00001_.png") == ["x_00002_.png"]
    assert len(await ledger.files("ann", "output")) == 2


async def test_a_name_taken_by_another_workers_file_is_counted_on(ledger: Ledger) -> None:
    assert await name(ledger, A, "x_00001_.png", "x_00002_.png", "x_00003_.png") == [
        "x_00001_.png",
        "x_00002_.png",
        "x_00003_.png",
    ]
    assert await name(ledger, B, "x_00001_.png", "x_00002_.png") == ["x_00004_.png", "x_00005_.png"]
    assert await name(ledger, A, "x_00004_.png") == ["x_00006_.png"]


async def test_a_name_without_a_counter_gets_one(ledger: Ledger) -> None:
    assert await name(ledger, A, "movie.mp4", "plain") == ["movie.mp4", "plain"]
    assert await name(ledger, B, "movie.mp4", "plain") == ["movie_00001_.mp4", "plain_00001_"]


async def test_counting_keeps_to_prefix_folder_and_ending(ledger: Ledger) -> None:
    await name(ledger, A, "x_00005_.png", "sub/y_00001_.png")
    assert await name(ledger, B, "x_00001_.png", "x_00001_.jpg", "y_00001_.png") == [
        "x_00001_.png",
        "x_00001_.jpg",
        "y_00001_.png",
    ]


async def test_names_with_signs_that_patterns_know_are_plain_names(ledger: Ledger) -> None:
    odd = ["100%_[a]_00001_.png", "ä b_00001_.png", "a.b.c_00001_.png"]
    assert await name(ledger, A, *odd) == odd
    again = [one.replace("00001", "00002") for one in odd]
    assert await name(ledger, B, *odd) == again
    assert {record.filename for record in await ledger.files("ann", "output")} == {*odd, *again}


async def test_types_and_users_have_spaces_of_their_own(ledger: Ledger) -> None:
    await name(ledger, A, "x_00001_.png")
    assert await name(ledger, B, "x_00001_.png", type="temp") == ["x_00001_.png"]
    assert await name(ledger, B, "x_00001_.png", user="bob") == ["x_00001_.png"]
    bobs = await ledger.file("bob", "output", "", "x_00001_.png")
    assert bobs is not None
    assert bobs.worker == "host-1"
    assert len(await ledger.files("ann", "temp")) == 1


async def test_a_file_that_is_not_the_users_does_not_exist(ledger: Ledger) -> None:
    await name(ledger, A, "x_00001_.png")
    assert await ledger.file("bob", "output", "", "x_00001_.png") is None
    assert await ledger.file("ann", "temp", "", "x_00001_.png") is None
    assert await ledger.file("ann", "output", "vg/ann", "x_00001_.png") is None
    assert await ledger.files("bob", "output") == []


async def finish(studio: Studio, *files: str, worker: tuple[str, str] = A) -> str:
    """A job that named these outputs and ended; the recorder has it."""
    job = await studio.run(worker_id=worker[1])
    triples = [("output", "vg/ann", file) for file in files]
    await studio.ledger.name_files("ann", *worker, triples, job_id=job.id)
    await studio.ledger.settle(job.id, 1, outcome())
    while events := await studio.ledger.record_events("recorder", 0, 100):
        await studio.ledger.acknowledge([event.id for event in events])
    return job.id


async def seen(studio: Studio) -> set[str]:
    return {record.filename for record in await studio.ledger.files("ann", "output")}


async def test_file_records_go_with_their_job_whole(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    before = {key for key in dump() if "files" in key or "origins" in key}
    await finish(studio, "x_00001_.png", "sub.v1_00001_.png")
    assert await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 1
    assert await seen(studio) == set()
    kinds = ("files", "origins", "outputs")
    assert {key for key in dump() if any(kind in key for kind in kinds)} == before


async def test_records_of_jobs_that_stay_stay(studio: Studio) -> None:
    await finish(studio, "x_00001_.png")
    await finish(studio, "x_00002_.png")
    await name(studio.ledger, A, "jobless_00001_.png")
    assert await studio.ledger.trim(studio.epoch, 1, FOR_EVER_MS) == 1
    assert await seen(studio) == {"x_00002_.png", "jobless_00001_.png"}


async def test_a_file_that_a_later_job_names_again_stays_with_that_one(studio: Studio) -> None:
    await finish(studio, "cached_00001_.png")
    await finish(studio, "cached_00001_.png")
    assert await studio.ledger.trim(studio.epoch, 1, FOR_EVER_MS) == 1
    assert await seen(studio) == {"cached_00001_.png"}
    assert await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 1
    assert await seen(studio) == set()


async def test_a_trimmed_name_is_not_given_to_another_file(studio: Studio) -> None:
    await finish(studio, "x_00002_.png", "movie.mp4")
    await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS)
    assert await name(studio.ledger, B, "x_00001_.png", "x_00002_.png", "movie.mp4") == [
        "x_00003_.png",
        "x_00004_.png",
        "movie_00001_.mp4",
    ]


async def test_hidden_jobs_take_their_files_with_them_too(studio: Studio) -> None:
    await finish(studio, "x_00001_.png")
    await studio.ledger.hide("ann", None)
    assert await studio.ledger.trim(studio.epoch, 0, FOR_EVER_MS) == 1
    assert await seen(studio) == set()


async def test_files_come_newest_first(ledger: Ledger) -> None:
    await name(ledger, A, "a_00001_.png", "b_00001_.png")
    await asyncio.sleep(0.002)
    await name(ledger, A, "c_00001_.png")
    names = [record.filename for record in await ledger.files("ann", "output")]
    assert names == ["c_00001_.png", "b_00001_.png", "a_00001_.png"]


async def test_racing_workers_never_share_a_name(ledger: Ledger) -> None:
    replies = await asyncio.gather(
        *(name(ledger, ("host", f"host-{n}"), "x_00001_.png") for n in range(30))
    )
    assert len({reply[0] for reply in replies}) == 30


async def test_no_files_need_no_server(ledger: Ledger) -> None:
    assert await ledger.name_files("ann", *A, []) == []
