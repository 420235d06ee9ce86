"""One worker as its agent sees it: its socket, its health, and what it does now.

Orders are taken one after the other: at most one prompt runs, and a release
waits until the worker is idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from scheduler.ledger import Order, OrderKind
from scheduler.states import Job, JobState, Worker, WorkerState
from worker_agent.attempt import Attempt
from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.crew import run_together
from worker_agent.frames import PROBE as PROBE_FRAME
from worker_agent.frames import Frame, Message
from worker_agent.gpus import DeviceStats, Tenant, read_stats, told_id
from worker_agent.inputs import Inputs
from worker_agent.inventory import Inventory
from worker_agent.link import Link
from worker_agent.outputs import Outputs
from worker_agent.overrun import Overrun, Remedy
from worker_agent.owners import Owners
from worker_agent.place import Place
from worker_agent.posted import Posted
from worker_agent.probe_client import ProbeClient
from worker_agent.probe_records import ProbeRecords
from worker_agent.probe_side import ProbeSide
from worker_agent.recording import Heard
from worker_agent.release import Releaser
from worker_agent.residency import Residency
from worker_agent.services import Services, patiently
from worker_agent.settled import Settled
from worker_agent.supervisor import Process
from worker_agent.tenancy import Schema, read_schema
from worker_agent.upkeep import Rest

_log = structlog.get_logger(__name__)

#: how often a worker is looked at, and asked for its figures, seconds
_POLL: Final = 1.0
#: how often one of ours is asked of which the driver tells what it holds: its process and its
#: socket tell that it lives; and how often its disk is looked at, seconds
_POLL_KNOWN: Final = 5.0
#: a worker of somebody else's that is silent for longer is gone, seconds
_SILENCE: Final = 12.0
#: share of a lease that a job waits for a worker that is not up, and how often that is
#: looked at, seconds
_START_SHARE: Final = 0.6
_START_LOOK: Final = 0.05


class WorkerDriver:
    """Drives one worker."""

    def __init__(self, services: Services, place: Place, process: Process | None) -> None:
        """Drive the worker at ``place``.

        Args:
            services: the agent's services.
            place: where it is.
            process: None for a worker that somebody else runs.
        """
        self.id = place.id
        self.link = Link(place.id, lambda: self.client, services.new_id, self._take)
        self.inputs = Inputs(services)
        self._inventory = Inventory(services, place.id)
        self.outputs = Outputs(place.id, lambda: self.client, place.folders, services.scratch)
        self.schema: Schema = {}
        self._services = services
        self._place = place
        #: None for a worker that somebody else runs
        self.process = process
        #: why it takes nothing
        self.rest = Rest.NONE
        self._inbox: asyncio.Queue[Attempt | Job | Order] = asyncio.Queue()
        self._current: Attempt | None = None
        self._posted = Posted(services.new_id)
        self._gpu = place.gpu_uuid or ""
        self._stats: DeviceStats | None = None
        self._described = -1
        records = ProbeRecords(Owners(place.id, services.ledger), self._heard)
        self.probe = ProbeSide(services, place.id, self._probe_client, records)
        self._residency = Residency(services, place.id, self.probe, lambda: self.life)
        self._releaser = Releaser(
            services, place.id, lambda: self.client, self.probe, self._residency, self._refresh
        )
        self._last_answer = self._asked = services.clock()
        self._overrun = Overrun(place.id)
        self._releasing = False
        #: a prompt that it does not let go of, "" for none
        self._shunned = ""
        #: the life that we ended ourselves
        self._ended_life = 0
        #: attempts that it had a moment ago
        self.settled = Settled(services.clock)
        #: the life in which it last had a job
        self._worked_life = 0

    # ── what others ask ──────────────────────────────────────────────────────

    @property
    def client(self) -> ComfyClient:
        """The worker's interface, at its present address."""
        url = self.process.url if self.process is not None else self._place.url
        return ComfyClient(self._services.session, url)

    def _probe_client(self) -> ProbeClient | None:
        token = self._place.probe_token
        return ProbeClient(self._services.session, self.client.url, token) if token else None

    def clean_for(self, job: Job) -> bool:
        """Whether a peak measured from now on is this job's alone. False also if nobody can tell."""
        return self._residency.clean_for(job)

    @property
    def up(self) -> bool:
        """Whether it takes prompts."""
        if self._shunned or (self.process is not None and self.life in (0, self._ended_life)):
            return False
        return self.link.connected.is_set() and self._described == self.link.opened

    @property
    def idle(self) -> bool:
        """It has nothing to do, and nothing waits for it here."""
        return self._current is None and self._inbox.empty() and not self._releasing

    @property
    def watched(self) -> bool:
        """Its job loads models, or nothing but readings tells what the job takes."""
        if self._current is None or not self._gpu:
            return False
        return self._current.load.goes_on or self.probe.idle is None

    @property
    def residue_bytes(self) -> int:
        """Device memory that it holds with no model loaded; 0: it has models loaded."""
        return 0 if self._residency.models else self._services.book.used(self.id)

    @property
    def life(self) -> int:
        """Another number after its process was started anew."""
        return (self.process.pid or 0) if self.process is not None else 0

    def gone(self, life: int) -> bool:
        """Whether the process of that life is gone, or out of reach for too long."""
        if self.process is not None:
            return self.life != life or life == 0
        return self._services.clock() - self._last_answer > _SILENCE

    def refused(self) -> None:
        """It found a prompt invalid that suited what it offers: that may have changed."""
        self._inventory.ask_soon()

    async def computes(self) -> bool:
        """Whether its kernels run on its GPU; False where nobody can tell."""
        return await asyncio.to_thread(self._services.book.computes, self.tenant())

    def restart(self) -> bool:
        """End the process, to be started anew. False: it is not ours."""
        if self.process is None:
            return False
        # its socket may look open for a moment after
        self._ended_life = self.life
        self.process.kill()
        self._died()
        return True

    def shun(self, uuid: str) -> None:
        """Take nothing more until this prompt, which cannot be stopped, is gone."""
        _log.error("worker_stuck", worker=self.id, uuid=uuid, hint="restart that ComfyUI")
        self._shunned = uuid

    def ran(self, job: Job) -> None:
        """The job's models are loaded now."""
        self._residency.ran(job)
        idle = self.probe.idle
        if idle is not None and self._stats is not None:
            # its own figures, for where the driver does not tell, are a second old
            self._stats = replace(self._stats, torch_bytes=idle.reserved)

    def tenant(self) -> Tenant:
        """How to find what it holds."""
        pid = self.process.pid if self.process is not None else None
        return Tenant(worker=self.id, gpu=self._gpu, pid=pid, stats=self._stats)

    def report(self) -> Worker:
        """Its line of the agent's heartbeat."""
        takes = self.up and not self.outputs.full and not self.rest
        current, used = self._current, self._services.book.used(self.id)
        return Worker(
            id=self.id,
            agent=self._services.agent,
            gpu=self._gpu,
            state=WorkerState.READY if takes else WorkerState.DOWN,
            used_bytes=used,
            models=self._residency.models,
            has_probe=self.probe.present,
            limit=self.probe.limit,
            host_used_bytes=self._services.host.used(self.id),
            catalogue=self._inventory.digest,
            detail=self.rest.value or ("disk full" if self.outputs.full else ""),
            loaded=current.load.told(used) if current is not None else "",
        )

    # ── orders ───────────────────────────────────────────────────────────────

    def order(self, order: Order) -> None:
        """Take an order of the agent's inbox."""
        match order.kind:
            case OrderKind.CANCEL:
                current = self._current
                if current is not None and current.job_id == order.job:
                    current.cancel()
            case OrderKind.PREEMPT:
                current = self._current
                if current is not None and current.is_of(order.job, order.attempt):
                    current.preempt()
            case OrderKind.RELEASE:
                if not self._releasing:
                    self._releasing = True
                    self._inbox.put_nowait(order)
            case OrderKind.RUN:
                # One that comes twice is refused when it claims, after the first has ended.
                self._inbox.put_nowait(order)

    def adopt(self, job: Job) -> None:
        """Go on with a job that an earlier agent left: before ``run``."""
        if job.state is JobState.RESERVED:
            self._inbox.put_nowait(Order(OrderKind.RUN, self.id, job.id, job.attempt))
            return
        self._posted.note(job.id)
        self.link.pin(job.sid or None)
        self._inbox.put_nowait(job)

    async def run(self) -> None:
        """Drive the worker; ends by cancellation."""
        await run_together(self.link.run(), self._poll(), self._serve())

    async def hand_back(self) -> None:
        """Stop what runs and give it back, after ``run`` was cancelled."""
        if self._current is not None:
            await self._current.hand_back()

    async def confirm(self) -> None:
        """The ledger's server has restarted: say again what it may have lost."""
        self._inventory.put_again()
        await self.settled.confirm()
        if self._current is not None:
            await self._current.confirm()

    # ── inside ───────────────────────────────────────────────────────────────

    def _take(self, frame: Frame) -> None:
        self._last_answer = self._services.clock()
        if isinstance(frame, Message) and frame.type == PROBE_FRAME:
            # whoever sends it: it is about all that the worker does, and for us alone
            self.probe.records.take(frame.data)
            return
        if self._current is not None:
            self._current.feed(frame)

    def _heard(self, boot: str, records: Sequence[Mapping[str, Any]]) -> None:
        self._services.recording.note(Heard(self.id, self._gpu, boot, records))

    async def _serve(self) -> None:
        while True:
            task = await self._inbox.get()
            match task:
                case Job():
                    attempt = self._attempt(task.id, task.attempt, task.attempt_uuid)
                    if self.process is not None and not self.process.adopted:
                        # its process did not outlive the agent, nor did the prompt
                        await attempt.give_up()
                    else:
                        await self._occupied(attempt, attempt.adopt(task))
                case Order(kind=OrderKind.RELEASE):
                    await self._release()
                case Order():
                    attempt = self._attempt(task.job, task.attempt, self._posted.uuid(task))
                    await self._until_up()
                    await self._occupied(attempt, attempt.run())

    async def _until_up(self) -> None:
        """Give a worker that is just starting some of the lease, rather than lose the job."""
        until = self._services.clock() + self._services.settings.scheduler.lease * _START_SHARE
        # two parts of us have to agree on ``up``; a look costs nothing
        while not self.up and self._services.clock() < until:  # noqa: ASYNC110
            await asyncio.sleep(_START_LOOK)

    def _attempt(self, job: str, number: int, uuid: str) -> Attempt:
        return Attempt(self._services, self, job, number, uuid)

    async def _occupied(self, attempt: Attempt, running: Coroutine[Any, Any, None]) -> None:
        self._current = attempt
        self._worked_life = self.life
        self.link.pin()
        try:
            await running
        except Exception:
            # one broken attempt must not take the agent's other workers down
            _log.exception("attempt_broke", job=attempt.job_id, worker=self.id)
            await attempt.give_up()
        # fenced or broken, it has not said its end
        self._services.hub.forget(attempt.job_id, attempt.number)
        self.settled.add(attempt)
        self._current = None
        self.link.unpin()

    async def _release(self) -> None:
        """Make an idle worker give its memory back, and say so once that is seen."""
        used = await self._releaser.release()
        await self._services.report()
        await patiently(lambda: self._services.ledger.released(self.id, used), "released")
        self._releasing = False

    # ── health ───────────────────────────────────────────────────────────────

    async def _poll(self) -> None:
        while True:
            try:
                if self._is_due():
                    await self.outputs.look(self._services.settings.files.min_free)
                    await self._refresh()
                await self._describe()
                await self._inventory.put()
                await self.probe.sync()
            except WorkerUnreachable as error:
                _log.debug("worker_unreachable", worker=self.id, detail=str(error))
            if self.process is not None and not self.process.alive():
                self._died()
            await self._watch_overrun()
            await asyncio.sleep(_POLL if self.up else _POLL / 4)

    def _is_due(self) -> bool:
        """Whether to ask it for its figures, and its disk for room."""
        told = self._services.book.seen_by_driver(self.id) is not None
        if self.process is None or not told or not self.up:
            return True
        return self._services.clock() - self._asked >= _POLL_KNOWN

    async def _watch_overrun(self) -> None:
        """A worker of ours that keeps more than it was promised is started anew when idle."""
        used, limit = self._services.book.used(self.id), self.probe.limit_bytes
        match self._overrun.look(self._services.clock(), used, limit, idle=self.idle):
            case Remedy.TRIM:
                await self.probe.trim()
                _log.info("worker_trimmed", worker=self.id, used_bytes=used)
            case Remedy.RESTART if self.restart():
                _log.warning("worker_ended_over_reservation", worker=self.id, used_bytes=used)
                await self._services.report()

    async def _refresh(self) -> None:
        self._asked = self._services.clock()
        self._stats = read_stats(await self.client.system_stats())
        self._last_answer = self._services.clock()
        if self._shunned and self._shunned not in await self.client.queued():
            _log.info("worker_free_again", worker=self.id, uuid=self._shunned)
            self._shunned = ""

    async def _describe(self) -> None:
        """What it offers; after each connection also the GPU it computes on."""
        opened = self.link.opened
        new = self._described != opened
        due = self._inventory.is_due(busy=self._current is not None)
        if not self.link.connected.is_set() or not (new or due):
            return
        self.schema = read_schema(await self._inventory.take(self.client))
        if not new:
            return
        await self.probe.attach(self.link.sid)
        self.inputs.forget()
        found = self._place.gpu(self._stats, self._services.book.readings)
        self._gpu = told_id(self._services.agent, self.id) if found is None else found
        await self._note_base()
        self._described = opened
        if self.process is not None:
            self.process.answered.set()
        _log.info("worker_up", worker=self.id, gpu=self._gpu, classes=len(self.schema))

    async def _note_base(self) -> None:
        """A process that we have just started is empty: what it holds now is its base."""
        process, life = self.process, self.life
        known = (self._residency.base_life, self._worked_life)
        if process is None or process.adopted or life in known:
            return
        await self._services.sample()
        self._residency.born()

    def _died(self) -> None:
        """Nothing is loaded in a process that is gone."""
        self._residency.gone()
        self.probe.detach()
        self._stats = None
