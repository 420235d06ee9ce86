"""An installation with jobs in every state, history, keys and uploads; and an empty one beside it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.ledger import Admitted, Claimed, Ending
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job
from store.documents import SqlDocuments
from store.engine import open_engine
from store.migrate import migrate
from tests.factories import grant, new_job, outcome, report, worker
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url

LEASE_MS = 60_000
#: text that stands for what a user wrote
PICTURE = b"a picture of ann's"
TOKEN = "a-token-of-the-cluster"


@dataclass
class Estate:
    """Where everything lies, and which jobs there are."""

    ledger: RedisLedger
    engine: AsyncEngine
    folder: Path
    queued: str = ""
    held: str = ""
    running: str = ""
    settled: str = ""

    @property
    def files(self) -> Path:
        return self.folder / "files"

    async def job(self, job_id: str) -> Job | None:
        (found,) = await self.ledger.jobs([job_id])
        return found


async def start(ledger: RedisLedger, job_id: str, on: str) -> Job:
    """Admit and claim a job on a worker."""
    epoch = await ledger.lead("operations", LEASE_MS)
    assert epoch is not None
    snapshot = await ledger.snapshot(100)
    idle = next(one for one in snapshot.workers if one.id == on)
    job = next(one for backlog in snapshot.backlogs for one in backlog.jobs if one.id == job_id)
    admitted = await ledger.admit(epoch, job, idle, grant(), LEASE_MS)
    assert isinstance(admitted, Admitted), admitted
    claimed = await ledger.claim(job_id, admitted.attempt, on, f"u-{job_id}", "sid", LEASE_MS)
    assert isinstance(claimed, Claimed), claimed
    return claimed.job


async def settle(ledger: RedisLedger, job: Job) -> None:
    await ledger.settle(job.id, job.attempt, outcome(Ending.SUCCEEDED))


@pytest.fixture
async def estate(ledger: RedisLedger, store_url: str, tmp_path: Path) -> AsyncIterator[Estate]:
    engine = open_engine(store_url)
    await migrate(engine)
    made = Estate(ledger, engine, tmp_path / "old")
    workers = [worker("host-0", "host-gpu-0"), worker("host-1", "host-gpu-0")]
    await ledger.report(report("host", workers))
    for name in ("settled", "running"):
        job = new_job("ann", idempotency_key=f"key-{name}")
        await ledger.submit(job, f"prompt of {name}".encode(), max_queued=None)
        setattr(made, name, job.id)
    await settle(ledger, await start(ledger, made.settled, "host-0"))
    await start(ledger, made.running, "host-1")
    for name, user in (("queued", "ann"), ("held", "bob")):
        job = new_job(user)
        await ledger.submit(job, f"prompt of {name}".encode(), max_queued=None)
        setattr(made, name, job.id)
    await ledger.hold("bob", made.held, held=True)
    await ledger.override({"users.ann.key_hash": '"blake2b:00"', "groups.film.weight": "2.0"})
    await ledger.secret("cookie", "the-secret")
    await ledger.put_profiles({"fp-1": b"profile"})
    await ledger.put_week(b"week")
    await ledger.put_catalogue("digest", b"{}")
    await SqlDocuments(engine, lambda: 1.0).change_settings("ann", {"a": 1})
    digest = sha256(PICTURE).hexdigest()
    blob = made.files / "blobs" / digest[:2] / digest
    blob.parent.mkdir(parents=True)
    blob.write_bytes(PICTURE)
    (made.folder / "cluster.token").write_text(TOKEN)
    (made.folder / "vramgate.yaml").write_text("users: [{name: ann, key: a-key-of-ann}]\n")
    yield made
    await engine.dispose()


@pytest.fixture
async def other(valkey_url: str) -> AsyncIterator[RedisLedger]:
    """A pool that has nothing yet."""
    connected = RedisLedger.connect(valkey_url, f"t{secrets.token_hex(6)}")
    yield connected
    await connected.close()
