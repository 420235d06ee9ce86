"""The contract suite runs on a single server, in memory and, marked ``cluster``, on three nodes."""

from __future__ import annotations

import copy
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from cli.valkey import EmbeddedValkey
from scheduler.ledger import Admitted, Claimed, Ledger, Refusal, Report
from scheduler.memory_base import Fleet
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.memory_records import GroupRecord, Holds, JobRecord, UserRecord, WorkerRecord
from scheduler.memory_stream import Stream
from scheduler.memory_turns import Turns
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job, NewJob, Worker
from tests.factories import gpu, grant, new_job, report, worker

LEASE_MS = 60_000
#: A lease or leadership that has passed as soon as it is given.
PASSED_MS = -1
Dump = dict[str, Any]


#: fixtures that only a real server has
SERVERS_ONLY = {"server_url", "raw", "expiry"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that takes a ledger runs on all of them, or on the real ones if it must."""
    if "place" in metafunc.fixturenames:
        places = ["server", pytest.param("cluster", marks=pytest.mark.cluster)]
        if not SERVERS_ONLY & set(metafunc.fixturenames):
            places.insert(1, "memory")
        metafunc.parametrize("place", places)


@pytest.fixture
def server_url(request: pytest.FixtureRequest, place: str) -> str:
    fixture = "valkey_url" if place == "server" else "cluster_url"
    url: str = request.getfixturevalue(fixture)
    return url


class Connect:
    """Opens ledgers; those of one pool share their books."""

    def __init__(self, url: str | None, pool: str) -> None:
        #: None: in memory
        self.url = url
        self.pool = pool
        self.opened: list[Ledger] = []
        self._books: dict[str, Books] = {}

    def __call__(
        self,
        pool: str | None = None,
        *,
        new_call: Callable[[], str] = lambda: secrets.token_hex(8),
        **options: Any,
    ) -> Ledger:
        name = pool or self.pool
        self.opened.append(
            MemoryLedger(self.books(name, new_call, **options))
            if self.url is None
            else RedisLedger.connect(self.url, name, new_call=new_call, **options)
        )
        return self.opened[-1]

    def books(self, pool: str, new_call: Callable[[], str], **options: Any) -> Books:
        if pool not in self._books:
            self._books[pool] = Books(lambda: time.time_ns() // 1_000_000, new_call, **options)
        return self._books[pool]


@pytest.fixture
async def connect(
    request: pytest.FixtureRequest, place: str, pool_name: str
) -> AsyncIterator[Connect]:
    url = {"server": "valkey_url", "cluster": "cluster_url"}.get(place)
    opener = Connect(request.getfixturevalue(url) if url else None, pool_name)
    yield opener
    for one in opener.opened:
        await one.close()


@pytest.fixture
async def ledger(connect: Connect) -> Ledger:
    return connect()


class Studio:
    """A ledger with one led pool: two workers on one 24 GiB GPU of agent ``host``."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.epoch = 0

    async def open(self, heartbeat: Report | None = None) -> Studio:
        await self.ledger.report(heartbeat or two_workers())
        epoch = await self.ledger.lead("leader", LEASE_MS)
        assert epoch is not None
        self.epoch = epoch
        return self

    async def submit(self, job: NewJob | None = None, prompt: bytes = b"{}") -> Job:
        new = job or new_job()
        await self.ledger.submit(new, prompt, max_queued=None)
        return await self.job(new.id)

    async def job(self, job_id: str) -> Job:
        (job,) = await self.ledger.jobs([job_id])
        assert job is not None
        return job

    async def worker(self, worker_id: str = "host-0") -> Worker:
        return (await self.ledger.pool()).workers[worker_id]

    async def admit(
        self, job: Job, worker_id: str = "host-0", *, lease_ms: int = LEASE_MS
    ) -> Admitted | Refusal:
        return await self.admit_as(self.epoch, job, worker_id, lease_ms=lease_ms)

    async def admit_as(
        self, epoch: int, job: Job, worker_id: str = "host-0", *, lease_ms: int = LEASE_MS
    ) -> Admitted | Refusal:
        worker = await self.worker(worker_id)
        return await self.ledger.admit(epoch, job, worker, grant(job.need_bytes), lease_ms)

    async def reserve(
        self, job: Job | None = None, worker_id: str = "host-0", *, lease_ms: int = LEASE_MS
    ) -> Job:
        queued = job or await self.submit()
        assert isinstance(await self.admit(queued, worker_id, lease_ms=lease_ms), Admitted)
        return await self.job(queued.id)

    async def run(
        self, job: Job | None = None, worker_id: str = "host-0", *, lease_ms: int = LEASE_MS
    ) -> Job:
        reserved = await self.reserve(job, worker_id, lease_ms=lease_ms)
        claimed = await self.ledger.claim(
            reserved.id, reserved.attempt, worker_id, f"uuid-{reserved.attempt}", "sid", lease_ms
        )
        assert isinstance(claimed, Claimed)
        return claimed.job

    async def kinds(self) -> list[str]:
        return [event.kind.value for event in await self.ledger.events("0-0", 0)]


def two_workers(**of_gpu: Any) -> Report:
    return report(workers=[worker("host-0"), worker("host-1")], gpus=[gpu(**of_gpu)])


@pytest.fixture
async def studio(ledger: Ledger) -> Studio:
    return await Studio(ledger).open()


def server_client(url: str) -> Any:
    if url.startswith("redis+cluster"):
        return RedisCluster.from_url(url.replace("redis+cluster", "redis"))
    return redis.Redis.from_url(url)


@pytest.fixture
def raw(server_url: str) -> Iterator[Any]:
    """A client that goes behind the ledger's back."""
    with closing(server_client(server_url)) as client:
        yield client


@pytest.fixture
def dump(connect: Connect) -> Iterator[Callable[[], Dump]]:
    """Everything that the books hold, to compare before and after."""
    if connect.url is None:
        yield lambda: dump_books(connect.books(connect.pool, str))
        return
    with closing(server_client(connect.url)) as raw:
        yield lambda: dump_pool(raw, connect.pool)


@pytest.fixture
def expiry(raw: Any, pool_name: str) -> Callable[..., int]:
    """Seconds that a key has left, after setting them if told so; -1: it stays."""

    def look(key: str, seconds: int | None = None) -> int:
        name = f"vg:{{{pool_name}}}:{key}"
        if seconds is not None:
            raw.expire(name, seconds)
        left: int = raw.ttl(name)
        return left

    return look


def dump_pool(client: Any, pool: str) -> Dump:
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
        b"string": client.get,
    }
    keys = client.scan_iter(match=f"vg:{{{pool}}}:*", count=1000)
    return {key.decode(): read[client.type(key)](key) for key in keys}


#: settings, and what the books keep for the next snapshot
_NO_BOOKS = {
    "clock_ms", "new_call", "heartbeat_ms", "max_losses", "listed_users", "window", "life",
    "told",
}  # fmt: skip


def dump_books(books: Books) -> Dump:
    """A copy of all that the books in memory hold, under names like the keys in Redis."""
    dump = {
        f":{name}": _copied(value)
        for name, value in vars(books).items()
        if name not in _NO_BOOKS and not name.startswith("seen_")
    }
    leader = ("owner", "epoch", "leads_until_ms", "trust", "protocol")
    dump[":leader"] = [dump.pop(f":{name}") for name in leader]
    dump[":events"] = dump.pop(":stream")
    dump |= {f":inbox:{agent}": orders for agent, orders in dump.pop(":inboxes").items()}
    return {name: value for name, value in dump.items() if value}


def _copied(value: Any) -> Any:
    if isinstance(value, (UserRecord, GroupRecord, WorkerRecord, JobRecord, Holds, Fleet)):
        shown = {"backlog", "listed", "noun"}
        return {
            name: _copied(getattr(value, name)) for name in value.__slots__ if name not in shown
        }
    if isinstance(value, Turns):
        return dict(value.counters)
    if isinstance(value, Stream):
        return _copied(vars(value))
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items() if one}
    return copy.copy(value)


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three embedded servers joined to one cluster."""
    with ExitStack() as stack:
        nodes = [
            _start_node(stack, tmp_path_factory.mktemp(f"node{n}"), slots)
            for n, slots in enumerate(((0, 5460), (5461, 10922), (10923, 16383)))
        ]
        for client, _ in nodes[1:]:
            first = nodes[0][1]
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", first[0], first[1])
        deadline = time.monotonic() + 60
        while not all(_is_whole(client) for client, _ in nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster's nodes did not find each other within 60 s")
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{nodes[0][1][0]}"


def _start_node(
    stack: ExitStack, folder: Path, slots: tuple[int, int]
) -> tuple[Any, tuple[int, int]]:
    port, bus = free_port(), free_port()
    options = {
        "port": str(port),
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-node-timeout": "5000",
    }
    server = stack.enter_context(EmbeddedValkey(folder, options=options))
    client: Any = stack.enter_context(redis.Redis.from_url(server.url))
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
    return client, (port, bus)


def _is_whole(client: Any) -> bool:
    info: Any = client.execute_command("CLUSTER", "INFO")
    text = (
        info
        if isinstance(info, dict)
        else dict(line.split(":", 1) for line in info.decode().split())
    )
    return bool(text["cluster_state"] == "ok" and text["cluster_known_nodes"] == "3")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
