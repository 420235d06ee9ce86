"""What one user owns, spread over every store that the gateway reads, and its tell-tale marks."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import FormData

from scheduler.ledger import Admitted, Claimed, Ending, Grant, Outcome
from scheduler.states import Job, JobState
from tests.factories import GIB
from tests.integration.gateway_info.conftest import Gateway, png
from tests.integration.gateway_prompt.stage import graph, object_info

#: inside everything that the owner keeps: it may reach nobody else, whatever they ask
SECRET = "quokka-7f31"
#: in the names of it: may reach those only who said it first
NAME = "wombat"
LEASE_MS = 60_000

USERS: list[dict[str, Any]] = [
    {"name": "ann", "group": "film", "key": "key-of-ann-01", "url_key": "url-of-ann-01"},
    {"name": "mia", "group": "film", "key": "key-of-mia-01"},
    {"name": "bob", "group": "games", "key": "key-of-bob-01"},
    {"name": "ada", "group": "film", "key": "key-of-ada-01", "role": "admin"},
    {"name": "vic", "group": "film", "key": "key-of-vic-01", "role": "viewer"},
]
# the agent reports once: it counts as alive for as long as the longest of these tests
SETTINGS: dict[str, Any] = {
    "auth": {"mode": "keys"},
    "users": USERS,
    "scheduler": {"heartbeat": 3600},
}
ACTORS = ("mia", "bob", "ada", "vic", "anonymous")


def headers(actor: str) -> dict[str, str]:
    """The actor's credential; the anonymous one has none."""
    return {} if actor == "anonymous" else {"Authorization": f"Bearer key-of-{actor}-01"}


@dataclass(frozen=True)
class Estate:
    """The ids that an attacker may have learned."""

    gateway: Gateway
    queued: str
    running: str
    ended: str
    #: the owner's group shares, so the owner's lists may show what others made meanwhile
    shares: bool = False

    async def as_owner(self, path: str) -> Any:
        answer = await self.gateway.client.get(path, headers=headers("ann"))
        assert answer.status == 200, (path, answer.status)
        body = await answer.read()
        return json.loads(body) if answer.content_type == "application/json" else body

    async def inventory(self) -> dict[str, Any]:
        """All that must be the same after somebody else's request."""
        seen = {path: self._own(path, await self.as_owner(path)) for path in _LOOKED_AT}
        jobs = await self.gateway.ledger.jobs(await self._job_ids())
        seen["jobs"] = [job and (job.state, job.held, job.number, job.wait_detail) for job in jobs]
        return seen

    def _own(self, path: str, told: Any) -> Any:
        mine = (self.queued, self.running, self.ended)
        match path if self.shares else "":
            case "/queue":
                return {name: [one for one in told[name] if one[1] in mine] for name in told}
            case "/history":
                return {name: entry for name, entry in told.items() if name in mine}
            case "/internal/files/output":
                return [name for name in told if not name.startswith("@")]
            case _:
                return told

    async def _job_ids(self) -> list[str]:
        found = [
            await self.gateway.ledger.find("ann", prompt_id)
            for prompt_id in (self.queued, self.running, self.ended)
        ]
        return [job.id for job in found if job is not None]


_LOOKED_AT = (
    "/queue",
    "/history",
    "/settings",
    "/userdata?dir=workflows&recurse=true",
    f"/userdata/workflows%2F{NAME}.json",
    "/vramgate/files",
    "/internal/files/output",
    f"/view?filename={NAME}_00001_.png",
    f"/view?filename={NAME}.png&type=input",
    f"/api/etn/image/{NAME}-1",
)


async def settle(gateway: Gateway) -> Estate:
    """Give ann a job in each state, an output, uploads, documents and settings."""
    gateway.agent.routes["object_info"] = object_info()
    gateway.services.info.note_change()
    epoch = await gateway.ledger.lead("matrix", 3_600_000)
    assert epoch is not None
    ended = await _post(gateway)
    await _end(gateway, await _start(gateway, epoch, ended))
    running = await _post(gateway)
    await _start(gateway, epoch, running)
    queued = await _post(gateway)
    await _keep_files(gateway)
    return Estate(gateway, queued.prompt_id, running.prompt_id, ended.prompt_id)


async def _post(gateway: Gateway) -> Job:
    body = {
        "prompt": graph(f"{NAME}"),
        "client_id": "tab-of-ann",
        "extra_data": {"extra_pnginfo": {"workflow": {"id": "w", "note": SECRET}}},
    }
    answer = await gateway.client.post("/prompt", json=body, headers=headers("ann"))
    assert answer.status == 200, await answer.text()
    job = await gateway.ledger.find("ann", (await answer.json())["prompt_id"])
    assert job is not None
    return job


async def _start(gateway: Gateway, epoch: int, job: Job) -> Job:
    snapshot = await gateway.ledger.snapshot(100)
    idle = next(one for one in snapshot.workers if not one.job)
    fresh = next(one for backlog in snapshot.backlogs for one in backlog.jobs if one.id == job.id)
    grant = Grant(bytes=GIB, capacity_bytes=24 * GIB)
    admitted = await gateway.ledger.admit(epoch, fresh, idle, grant, LEASE_MS)
    assert isinstance(admitted, Admitted), admitted
    claimed = await gateway.ledger.claim(
        job.id, admitted.attempt, idle.id, str(uuid.uuid4()), "sid", LEASE_MS
    )
    assert isinstance(claimed, Claimed), claimed
    return claimed.job


async def _end(gateway: Gateway, job: Job) -> None:
    image = await make_output(gateway, "ann", png() + SECRET.encode())
    messages = [["execution_success", {"prompt_id": job.prompt_id, "timestamp": 1}]]
    result = {
        "outputs": {"2": {"images": [image], "text": [SECRET]}},
        "status": {"status_str": "success", "completed": True, "messages": messages},
        "meta": {},
    }
    outcome = Outcome(
        ending=Ending.SUCCEEDED,
        result=json.dumps(result).encode(),
        frames=json.dumps(messages).encode(),
    )
    await gateway.ledger.settle(job.id, job.attempt, outcome)
    found = await gateway.ledger.find("ann", job.prompt_id)
    assert found is not None
    assert found.state is JobState.SUCCEEDED


async def make_output(gateway: Gateway, user: str, body: bytes) -> dict[str, str]:
    """A file in the user's folder on the worker, recorded; as a result names it."""
    key = ("output", f"vg/{user}", f"{NAME}_00001_.png")
    gateway.agent.files[key] = body
    (record,) = await gateway.ledger.name_files(user, "host", "host-0", [key])
    return {"filename": record.filename, "subfolder": record.subfolder, "type": "output"}


async def _keep_files(gateway: Gateway) -> None:
    who = headers("ann")
    form = FormData()
    form.add_field("image", png() + SECRET.encode(), filename=f"{NAME}.png")
    client = gateway.client
    kept = [
        await client.post("/upload/image", data=form, headers=who),
        await client.post("/settings", json={NAME: SECRET}, headers=who),
        await client.post(
            f"/userdata/workflows%2F{NAME}.json", data=json.dumps(SECRET), headers=who
        ),
        await client.put(f"/api/etn/image/{NAME}-1", data=png() + SECRET.encode(), headers=who),
        await client.post(
            "/api/etn/workflow/publish",
            json={"name": NAME, "client_id": "tab-of-ann", "workflow": {"note": SECRET}},
            headers=who,
        ),
    ]
    assert [answer.status for answer in kept] == [200, 200, 200, 201, 200]
