"""forget: agents, workers and GPUs that say nothing more leave the pool."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.ledger import Pool
from tests.factories import gpu, outcome, report, worker
from tests.integration.ledger.conftest import LEASE_MS, Dump, Studio, two_workers

HOUR_MS = 3_600_000
#: Everything that has not reported in the future has been silent for longer.
AT_ONCE_MS = -1_000


def names(pool: Pool) -> set[str]:
    return {*pool.agents, *pool.workers, *pool.gpus}


async def test_who_reported_within_the_time_stays(studio: Studio) -> None:
    assert await studio.ledger.forget(studio.epoch, HOUR_MS) == []
    assert names(await studio.ledger.pool()) == {"host", "host-0", "host-1", "gpu-0"}


async def test_a_silent_agent_goes_with_all_it_had(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    gone = await studio.ledger.forget(studio.epoch, AT_ONCE_MS)
    assert gone == ["host-0", "host-1", "gpu-0", "host"]
    assert names(await studio.ledger.pool()) == set()
    left = {key for key in dump() if not key.endswith((":events", ":leader"))}
    assert left == set()


async def test_a_worker_with_a_job_stays_and_so_do_its_gpu_and_agent(studio: Studio) -> None:
    job = await studio.run()
    assert await studio.ledger.forget(studio.epoch, AT_ONCE_MS) == ["host-1"]
    await studio.ledger.settle(job.id, 1, outcome())
    assert await studio.ledger.forget(studio.epoch, AT_ONCE_MS) == ["host-0", "gpu-0", "host"]


async def test_a_worker_that_its_agent_names_no_more_goes_alone(studio: Studio) -> None:
    await studio.ledger.report(report(workers=[worker("host-0")], gpus=[gpu()]))
    before = (await studio.ledger.pool()).now_ms
    while (now := (await studio.ledger.pool()).now_ms) < before + 20:
        await studio.ledger.report(report(workers=[worker("host-0")], gpus=[gpu()]))
    silent_ms = now - before - 5
    assert await studio.ledger.forget(studio.epoch, silent_ms) == ["host-1"]


async def test_who_comes_back_is_known_again(studio: Studio) -> None:
    await studio.ledger.forget(studio.epoch, AT_ONCE_MS)
    await studio.ledger.report(two_workers())
    assert names(await studio.ledger.pool()) == {"host", "host-0", "host-1", "gpu-0"}
    assert (await studio.run()).worker == "host-0"


async def test_a_stale_leader_forgets_nobody(studio: Studio) -> None:
    await studio.ledger.resign("leader", studio.epoch)
    await studio.ledger.lead("other", LEASE_MS)
    assert await studio.ledger.forget(studio.epoch, AT_ONCE_MS) == []
