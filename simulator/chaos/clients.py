"""The people: each submits in bursts through some gateway, and changes their mind now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import msgspec

from scheduler.ledger import Duplicate, EventKind, Ledger, LedgerUnavailable, OverCap, Submitted
from scheduler.states import NewJob
from simulator.chaos.truth import Truth
from simulator.chaos.workload import Habits, draw_job, draw_truth, new_id

#: chances that the owner of a job does this to it while it waits or runs
_CANCEL: Final = 0.08
_HOLD: Final = 0.05
_MOVE: Final = 0.06
_SEND_AGAIN: Final = 0.15
_PATIENCE_S: Final = 0.5
_MAX_QUEUED: Final = 40


@dataclass(frozen=True, slots=True)
class Person:
    """One user, and how often they come."""

    name: str
    group: str
    #: mean seconds between two bursts
    pause_s: float
    burst: int


class Client:
    """What one person does all day. ``ledger``: the way through a gateway that is up now."""

    def __init__(
        self,
        person: Person,
        habits: Habits,
        ledger: Callable[[], Ledger],
        truths: dict[str, Truth],
        rng: Random,
    ) -> None:
        self._person = person
        self._habits = habits
        self._ledger = ledger
        self._truths = truths
        self._rng = rng
        #: jobs that were accepted for certain
        self.accepted: set[str] = set()
        self._jobs: list[str] = []
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Submit until cancelled."""
        rng, person = self._rng, self._person
        while True:
            await asyncio.sleep(rng.expovariate(1 / person.pause_s))
            for _ in range(rng.randint(1, person.burst)):
                await self._submit()
                await asyncio.sleep(rng.expovariate(10.0))

    async def _submit(self) -> None:
        rng = self._rng
        truth = draw_truth(rng, self._habits)
        job = draw_job(rng, self._habits, self._person.name, self._person.group, truth)
        self._truths[job.id] = truth
        body = {"prompt": {"1": {"class_type": "Chaos", "inputs": {"key": job.id}}}}
        prompt = msgspec.json.encode(body)
        sent = await self._send(job, prompt)
        if job.idempotency_key and (sent is None or rng.random() < _SEND_AGAIN):
            # a gateway mints another id for what a client sends again
            again = new_id(rng)
            self._truths[again] = truth
            again_body = {"prompt": {"1": {"class_type": "Chaos", "inputs": {"key": again}}}}
            copy = replace(job, id=again, prompt_id=again)
            sent = await self._send(copy, msgspec.json.encode(again_body))
        if sent is not None:
            self._errand(sent)

    async def _send(self, job: NewJob, prompt: bytes) -> str | None:
        """Submit once; the id of the job that there is now, None: nobody knows."""
        try:
            reply = await self._ledger().submit(job, prompt, max_queued=_MAX_QUEUED)
        except LedgerUnavailable:
            return None
        match reply:
            case Submitted():
                self.accepted.add(job.id)
                return job.id
            case Duplicate():
                self.accepted.add(reply.job_id)
                return reply.job_id
            case OverCap():
                return None

    def _errand(self, job_id: str) -> None:
        pick = self._rng.random()
        for chance, errand in ((_CANCEL, self._cancel), (_HOLD, self._hold), (_MOVE, self._move)):
            if pick < chance:
                task = asyncio.get_running_loop().create_task(errand(job_id))
                self._errands.add(task)
                task.add_done_callback(self._errands.discard)
                return
            pick -= chance

    async def _cancel(self, job_id: str) -> None:
        await asyncio.sleep(self._rng.expovariate(1 / 15))
        await self._insist(lambda: self._ledger().cancel(self._person.name, job_id))

    async def _hold(self, job_id: str) -> None:
        await self._insist(lambda: self._ledger().hold(self._person.name, job_id, held=True))
        await asyncio.sleep(self._rng.expovariate(1 / 60))
        await self._insist(lambda: self._ledger().hold(self._person.name, job_id, held=False))

    async def _move(self, job_id: str) -> None:
        await asyncio.sleep(self._rng.expovariate(1 / 5))
        front = self._rng.random() < 0.5
        await self._insist(lambda: self._ledger().move(self._person.name, job_id, front=front))

    async def _insist(self, call: Callable[[], object]) -> None:
        for _ in range(5):
            try:
                await call()  # type: ignore[misc]
            except LedgerUnavailable:
                await asyncio.sleep(_PATIENCE_S)
            else:
                return


class Follower:
    """A gateway's eye on the stream: what it shows as ended, to whom it concerns."""

    def __init__(self, ledger: Ledger, shown: dict[str, int]) -> None:
        self._ledger = ledger
        #: job → how often its end was shown
        self._shown = shown

    async def run(self) -> None:
        """Follow from now on, until cancelled."""
        cursor = await self._start()
        while True:
            try:
                events = await self._ledger.events(cursor, block_ms=1000)
            except LedgerUnavailable:
                await asyncio.sleep(_PATIENCE_S)
                continue
            for event in events:
                cursor = event.id
                if event.kind is EventKind.SETTLED:
                    self._shown[event.job] = self._shown.get(event.job, 0) + 1

    async def _start(self) -> str:
        while True:
            try:
                return await self._ledger.last_event_id()
            except LedgerUnavailable:
                await asyncio.sleep(_PATIENCE_S)
