"""A master dies, sentinels promote its replica, and the ledger goes on there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.lifeline import die_with
from cli.valkey import EmbeddedValkey, find_binary
from scheduler.ledger import Admitted, Duplicate, LedgerUnavailable, OrderKind, Submitted
from scheduler.redis_ledger import RedisLedger
from tests.factories import new_job
from tests.integration.ledger.conftest import Studio, free_port, two_workers

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
MASTER = "books"
JOBS = 50


@dataclass
class Watched:
    """A master with one replica, watched by three sentinels."""

    master: EmbeddedValkey
    replica: EmbeddedValkey
    url: str


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        ports = [free_port(), free_port()]
        servers = [
            stack.enter_context(
                EmbeddedValkey(tmp_path / f"server{n}", options={"port": str(port)})
            )
            for n, port in enumerate(ports)
        ]
        with closing(redis.Redis.from_url(servers[1].url)) as client:
            client.replicaof("127.0.0.1", ports[0])
            until(partial(is_replica, client))
        sentinels = [start_sentinel(stack, tmp_path / f"sentinel{n}", ports[0]) for n in range(3)]
        for port in sentinels:
            with closing(redis.Redis(port=port)) as client:
                until(partial(knows_all, client))
        hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
        yield Watched(servers[0], servers[1], f"redis+sentinel://{hosts}/{MASTER}")


def start_sentinel(stack: ExitStack, folder: Path, master: int) -> int:
    folder.mkdir()
    port, config = free_port(), folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
        f"sentinel down-after-milliseconds {MASTER} 500\n"
        f"sentinel failover-timeout {MASTER} 5000\n"
    )
    process = subprocess.Popen(
        [str(find_binary()), str(config), "--sentinel"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with(os.getpid()),
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return port


def knows_all(client: Any) -> bool:
    """Whether a sentinel knows the two others and the replica."""
    try:
        state = client.sentinel_masters()[MASTER]
    except redis.ConnectionError:
        return False
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


def is_replica(client: Any) -> bool:
    """Whether a server has all of its master's data and follows it."""
    return bool(client.info("replication")["master_link_status"] == "up")


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline, "servers and sentinels did not find each other"
        time.sleep(0.02)


@pytest.fixture
async def books(watched: Watched) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger.connect(watched.url, "p", patience_s=30)
    yield ledger
    await ledger.close()


async def test_the_ledger_goes_on_with_the_replica(watched: Watched, books: RedisLedger) -> None:
    studio = await Studio(books).open()
    first_life = await books.run_id()
    running = await studio.run()
    await books.next_order("host", 1)
    waiting = asyncio.create_task(books.next_order("host", 5))
    # The last of them is acknowledged when the replica has it, and all that came before.
    jobs = [new_job(idempotency_key=f"k{n}") for n in range(JOBS)]
    for job in jobs:
        assert isinstance(await books.submit(job, b"{}", max_queued=None), Submitted)

    assert watched.master.process is not None
    watched.master.process.kill()

    # The first call after it waits for the promotion, however long that takes.
    late = new_job()
    assert isinstance(await books.submit(late, b"{}", max_queued=None), Submitted)
    assert await books.run_id() != first_life
    for job in jobs:
        assert (await studio.job(job.id)).state == "QUEUED"
        again = await books.submit(
            new_job(idempotency_key=job.idempotency_key), b"{}", max_queued=None
        )
        assert isinstance(again, Duplicate)
        assert again.job_id == job.id
    assert (await studio.job(running.id)).worker == "host-0"
    # Reservations, leadership and turns are where they were; the promotion may have taken longer
    # than an agent may be silent.
    await books.report(two_workers())
    assert await studio.admit(await studio.job(jobs[0].id), "host-1") == Admitted(1)
    order = await waiting or await books.next_order("host", 5)
    assert order is not None
    assert (order.kind, order.job) == (OrderKind.RUN, jobs[0].id)


async def test_without_a_replica_prompts_are_taken_all_the_same(
    watched: Watched, books: RedisLedger
) -> None:
    watched.replica.stop()
    assert isinstance(await books.submit(new_job(), b"{}", max_queued=None), Submitted)


async def test_without_a_master_to_promote_it_says_so(watched: Watched) -> None:
    for server in (watched.replica, watched.master):
        assert server.process is not None
        server.process.kill()
    ledger = RedisLedger.connect(watched.url, "p", patience_s=1)
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        await ledger.remaining("ann")
    await ledger.close()


@pytest.mark.parametrize(
    "url", ["redis+sentinel:///books", "redis+sentinel://h:1", "redis+sentinel://h:1,h:2/"]
)
async def test_a_url_without_sentinel_or_master_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="master-name"):
        RedisLedger.connect(url, "p")
