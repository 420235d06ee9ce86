"""What the sides of the Redis ledger share: connection, key names, reading jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scheduler.catalogue import Catalogue
from scheduler.redis_codec import decode_gpu, decode_group, decode_job, decode_worker
from scheduler.redis_connection import Connection
from scheduler.redis_keys import Keys, Place
from scheduler.redis_listings import Listings
from scheduler.redis_report import Fleet
from scheduler.states import Gpu, Job, Worker


class RedisSide:
    """One pool on one server."""

    def __init__(
        self,
        server: Connection,
        keys: Keys,
        *,
        heartbeat_ms: int,
        max_losses: int,
        new_call: Callable[[], str],
    ) -> None:
        self.server = server
        self.keys = keys
        #: an agent silent for longer gets no new work
        self.heartbeat_ms = heartbeat_ms
        #: a job that has lost its worker this often ends FAILED(poison)
        self.max_losses = max_losses
        #: names one call, so that a script knows its own repetition
        self.new_call = new_call
        #: what each agent was last seen to have; the report script checks the belief
        self.fleets: dict[str, Fleet] = {}
        #: whose each job is that was seen waiting, or that was ordered here
        self.owners: dict[str, str] = {}
        #: what workers offer, by digest
        self.known_catalogues: dict[str, Catalogue] = {}
        #: users' lists as they were read last
        self.listings = Listings()
        #: where each job is held that was claimed here, and its prompt_id
        self.claimed: dict[str, tuple[Place, str]] = {}

    async def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Records by id, in the order asked."""
        replies = await self.server.pipeline(
            [("HGETALL", self.keys("job", id_)) for id_ in job_ids]
        )
        return [decode_job(fields) for fields in replies]

    async def known_jobs(self, job_ids: Sequence[bytes]) -> list[Job]:
        """Records by id, those that are gone left out."""
        found = await self.jobs([id_.decode() for id_ in job_ids])
        return [job for job in found if job is not None]

    async def place(self, job_id: str) -> tuple[Place, str] | None:
        """Where a job is held now, and its prompt_id; None: no such job."""
        fields = ("user", "worker", "gpu", "agent", "prompt_id", "group", "spec")
        *values, group, spec = await self.server.command("HMGET", self.keys("job", job_id), *fields)
        user, worker, gpu, agent, prompt_id = ((value or b"").decode() for value in values)
        place = Place(user, worker, gpu, agent, decode_group(group, spec))
        return (place, prompt_id) if user else None

    async def devices(
        self, worker_ids: Sequence[str], gpu_ids: Sequence[str]
    ) -> tuple[list[Gpu], list[Worker]]:
        """GPUs and workers by id, those that are gone left out."""
        replies = await self.server.pipeline(
            [("HGETALL", self.keys("gpu", id_)) for id_ in gpu_ids]
            + [("HGETALL", self.keys("worker", id_)) for id_ in worker_ids]
        )
        gpus = [decode_gpu(id_, fields) for id_, fields in zip(gpu_ids, replies, strict=False)]
        records = replies[len(gpu_ids) :]
        # Holds come after the workers: a job admitted in between is seen with its bytes.
        homes = sorted({record[b"gpu"].decode() for record in records if record})
        holds = await self.server.pipeline(
            [("HGETALL", self.keys("holds", home)) for home in homes]
        )
        of = dict(zip(homes, holds, strict=True))
        workers = [
            decode_worker(id_, record, of.get(record.get(b"gpu", b"").decode(), {}))
            for id_, record in zip(worker_ids, records, strict=True)
        ]
        return [gpu for gpu in gpus if gpu], [worker for worker in workers if worker]

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await self.server.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def unexpected(self, script: str, reply: Any) -> RuntimeError:
        """A reply that its script cannot give: two versions of vramgate on one Redis."""
        return RuntimeError(f"{script}.lua answered {reply!r}: do all processes run one version?")
