"""The hourly tending of files: a real store, a real ledger, and an agent's real endpoint."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from cli.hosts import Hosts
from cli.leftovers import GRACE_S, Leftovers
from cli.retention import _unneeded
from scheduler.ledger import Pool
from scheduler.redis_ledger import RedisLedger
from scheduler.states import InputFile, Lane, NewJob
from store.input_files import SqlInputFiles
from store.outputs import SqlOutputs
from tests.unit.cli.place import NOW_MS, TOKEN, Place


async def test_nothing_is_deleted_that_nobody_said_should_be(place: Place) -> None:
    old = await place.made("ann", "old.png", 3000, b"x")
    done = await place.tend()
    assert done["outputs"] == 0
    assert old.exists()


async def test_outputs_go_when_they_are_old_enough_and_their_records_with_them(
    place: Place,
) -> None:
    old = await place.made("ann", "old.png", 31, b"x")
    new = await place.made("ann", "new.png", 29, b"x")
    stray = old.with_name("stray.png")
    stray.write_bytes(b"made by somebody else")
    done = await place.tend(keep_outputs="30d")
    assert done["outputs"] == 1
    assert (old.exists(), new.exists(), stray.exists()) == (False, True, True)
    assert await place.recorded() == ["new.png"]


async def test_previews_go_after_a_week_by_default(place: Place) -> None:
    old = await place.made("ann", "a.png", 8, b"x", "temp")
    await place.made("ann", "b.png", 6, b"x", "temp")
    assert (await place.tend())["temp"] == 1
    assert not old.exists()
    assert await place.recorded() == ["b.png"]


async def test_over_the_quota_the_oldest_go(place: Place) -> None:
    for days in range(1, 6):
        await place.made("ann", f"{days}.png", days, b"x" * 100)
        await place.made("bob", f"bob{days}.png", days, b"x" * 100)
    done = await place.tend(output_quota=250)
    assert done["outputs"] == 3
    # bob has a quota of his own
    assert await place.recorded() == ["1.png", "2.png", *(f"bob{n}.png" for n in range(1, 6))]


async def test_a_link_is_never_followed_to_what_it_names(place: Place) -> None:
    path = await place.made("ann", "old.png", 31, b"x")
    target = await place.made("bob", "mine.png", 1, b"of bob")
    path.unlink()
    path.symlink_to(target)
    await place.tend(keep_outputs="30d")
    assert target.read_bytes() == b"of bob"


async def test_a_file_whose_host_is_away_is_tried_again(place: Place) -> None:
    await place.made("ann", "old.png", 31, b"x")
    async with Hosts(Pool(now_ms=0), TOKEN) as nobody:
        away = Place(place.engine, nobody, place.folder)
        assert (await away.tend(keep_outputs="30d"))["away"] == 1
    assert await place.recorded() == ["old.png"]


async def test_bytes_stay_while_they_are_named_or_needed_and_a_day_longer(
    place: Place, ledger: RedisLedger, tmp_path: Path
) -> None:
    files_dir = tmp_path / "files"
    bodies = {"named": b"1", "needed": b"2", "nobody's": b"3"}
    digests = {name: sha256(body).hexdigest() for name, body in bodies.items()}
    for name, digest in digests.items():
        blob = files_dir / "blobs" / digest[:2] / digest
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(bodies[name])
        os.utime(blob, (1, 1))
    names = SqlInputFiles(place.engine, lambda: NOW_MS / 1000)
    await names.put("ann", "input", InputFile(path="a.png", sha256=digests["named"], size_bytes=1))
    job = NewJob(
        id="job-1", user="ann", group="default", prompt_id="p", client_id=None,
        lane=Lane.INTERACTIVE, front=False, fingerprint="f", models=(), need_bytes=0,
        need_seconds=1.0, needs_gpu=False, inputs=(InputFile(path="b.png", sha256=digests["needed"], size_bytes=1),),
    )  # fmt: skip
    await ledger.submit(job, b"{}", max_queued=None)

    async def collect(at: float) -> int:
        leftovers = Leftovers(files_dir, at)
        return leftovers.collect(await _unneeded(leftovers, SqlOutputs(place.engine), ledger))

    assert await collect(1_000_000) == 0
    assert await collect(1_000_000 + GRACE_S - 1) == 0
    assert await collect(1_000_000 + GRACE_S) == 1
    left = {path.name for path in (files_dir / "blobs").glob("??/*")}
    assert left == {digests["named"], digests["needed"]}


def test_bytes_that_were_just_stored_again_stay(tmp_path: Path) -> None:
    digest = sha256(b"x").hexdigest()
    blob = tmp_path / "blobs" / digest[:2] / digest
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    Leftovers(tmp_path, 1_000_000).collect({digest})
    os.utime(blob, (1_000_000 + GRACE_S, 1_000_000 + GRACE_S))
    assert Leftovers(tmp_path, 1_000_000 + GRACE_S + 1).collect({digest}) == 0
    assert blob.read_bytes() == b"x"
