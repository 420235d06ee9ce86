"""profiles and learn: what kinds of workflow needed, written once per attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scheduler.ledger import Ending
from scheduler.probed import Probed
from tests.factories import GIB, new_job, outcome
from tests.integration.ledger.conftest import LEASE_MS, Connect, Dump, Studio


async def closed(studio: Studio, ending: Ending = Ending.SUCCEEDED, **changes: Any) -> str:
    job = await studio.run()
    await studio.ledger.settle(job.id, job.attempt, outcome(ending, **changes))
    return job.id


async def test_unknown_fingerprints_have_no_profile(studio: Studio) -> None:
    assert await studio.ledger.profiles(["a", "b"]) == [None, None]
    assert await studio.ledger.profiles([]) == []


async def test_what_is_learned_can_be_asked_for(studio: Studio) -> None:
    job_id = await closed(studio)
    assert await studio.ledger.learn(studio.epoch, job_id, {"a": b"1", "b": b"2"})
    assert await studio.ledger.profiles(["b", "x", "a"]) == [b"2", None, b"1"]


async def test_each_attempt_is_learned_from_once(studio: Studio, dump: Callable[[], Dump]) -> None:
    job_id = await closed(studio)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    before = dump()
    assert await studio.ledger.learn(studio.epoch, job_id, {"a": b"2"})
    assert dump() == before


async def test_the_attempt_after_an_out_of_memory_is_learned_from_too(studio: Studio) -> None:
    job_id = await closed(studio, Ending.OOM)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    again = await studio.run(await studio.job(job_id))
    await studio.ledger.settle(job_id, again.attempt, outcome())
    assert await studio.ledger.learn(studio.epoch, job_id, {"a": b"2"})
    assert await studio.ledger.profiles(["a"]) == [b"2"]


async def test_a_stale_leader_teaches_nothing(studio: Studio) -> None:
    job_id = await closed(studio)
    await studio.ledger.resign("leader", studio.epoch)
    await studio.ledger.lead("other", LEASE_MS)
    assert not await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    assert await studio.ledger.profiles(["a"]) == [None]


async def test_nothing_is_learned_from_a_job_that_runs_or_is_unknown(studio: Studio) -> None:
    job = await studio.run()
    assert not await studio.ledger.learn(studio.epoch, job.id, {"a": b"1"})
    assert not await studio.ledger.learn(studio.epoch, "nope", {"a": b"1"})
    assert await studio.ledger.profiles(["a"]) == [None]


async def test_profiles_that_nobody_uses_are_forgotten(
    studio: Studio, expiry: Callable[[str], int]
) -> None:
    job_id = await closed(studio)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    assert 0 < expiry("profile:a") <= 90 * 24 * 3600


async def test_asking_for_a_profile_keeps_it(studio: Studio, expiry: Callable[..., int]) -> None:
    job_id = await closed(studio)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    assert expiry("profile:a", 60) <= 60
    await studio.ledger.profiles(["a"])
    assert expiry("profile:a") > 60


async def test_profiles_of_two_pools_never_meet(studio: Studio, connect: Connect) -> None:
    job_id = await closed(studio)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    other = connect("another")
    assert await other.profiles(["a"]) == [None]
    await other.close()


async def test_a_job_carries_its_parents_and_whether_its_worker_was_clean(studio: Studio) -> None:
    job = await studio.run(await studio.submit(new_job(parents=("p", "pp"))))
    assert (job.parents, job.clean) == (("p", "pp"), False)
    await studio.ledger.settle(job.id, 1, outcome(clean=True))
    assert (await studio.job(job.id)).clean


SEEN = Probed(
    needed_bytes=9 * GIB,
    limit_bytes=10 * GIB,
    left_bytes=8 * GIB,
    loads=2,
    load_seconds=1.5,
    fallback="tiled",
    partial=True,
)


async def test_what_a_probe_told_of_the_attempt_stays_with_the_job(studio: Studio) -> None:
    job = await studio.run(await studio.submit(new_job()))
    await studio.ledger.settle(job.id, 1, outcome(probed=SEEN))
    assert (await studio.job(job.id)).probed == SEEN


async def test_what_a_probe_told_of_an_attempt_does_not_outlive_the_next(studio: Studio) -> None:
    job = await studio.run(await studio.submit(new_job()))
    await studio.ledger.settle(job.id, 1, outcome(Ending.OOM, probed=SEEN))
    assert (await studio.job(job.id)).probed == SEEN
    await studio.run(await studio.job(job.id))
    await studio.ledger.settle(job.id, 2, outcome())
    assert (await studio.job(job.id)).probed is None


async def test_a_lost_attempt_leaves_nothing_that_a_probe_told(studio: Studio) -> None:
    job = await studio.run(await studio.submit(new_job()))
    await studio.ledger.settle(job.id, 1, outcome(Ending.OOM, probed=SEEN))
    await studio.run(await studio.job(job.id))
    await studio.ledger.settle(job.id, 2, outcome(Ending.LOST, probed=SEEN))
    assert (await studio.job(job.id)).probed is None


async def test_a_worker_is_held_to_what_it_kept_where_a_probe_tells(studio: Studio) -> None:
    job = await studio.run(await studio.submit(new_job()))
    kept = replace(SEEN, left_bytes=3 * GIB)
    await studio.ledger.settle(job.id, 1, outcome(peak_bytes=12 * GIB, probed=kept))
    assert (await studio.worker()).used_bytes == 3 * GIB


async def test_the_run_id_stays_while_the_server_lives(studio: Studio) -> None:
    first = await studio.ledger.run_id()
    assert first
    assert await studio.ledger.run_id() == first


async def test_profiles_are_exported_and_imported_whole(studio: Studio, connect: Connect) -> None:
    job_id = await closed(studio)
    await studio.ledger.learn(studio.epoch, job_id, {"a": b"1"})
    await studio.ledger.put_profiles({f"f{n}": b"%d" % n for n in range(250)})
    await studio.ledger.put_profiles({"a": b"2"})
    everything = await studio.ledger.all_profiles()
    assert len(everything) == 251
    assert (everything["a"], everything["f249"]) == (b"2", b"249")
    other = connect("other-pool")
    await other.put_profiles(everything)
    assert await other.all_profiles() == everything
    assert await other.profiles(["a", "f7"]) == [b"2", b"7"]


async def test_an_expired_profile_is_not_exported(studio: Studio, raw: Any, pool_name: str) -> None:
    await studio.ledger.put_profiles({"a": b"1", "b": b"2"})
    raw.delete(f"vg:{{{pool_name}}}:profile:a")
    assert await studio.ledger.all_profiles() == {"b": b"2"}
    assert raw.smembers(f"vg:{{{pool_name}}}:fingerprints") == {b"b"}
