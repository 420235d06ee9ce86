"""Follows one prompt on its worker until it stops, and stops it when it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, Protocol

import structlog

from scheduler.states import Job, Lane
from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.frames import Binary, Frame, Message
from worker_agent.inputs import Inputs
from worker_agent.link import Link
from worker_agent.outputs import Outputs
from worker_agent.probe_side import ProbeSide
from worker_agent.services import Services
from worker_agent.teller import is_end
from worker_agent.tenancy import Schema

_log = structlog.get_logger(__name__)

#: how often a waiting attempt looks around, seconds: a dead process is noticed in this time
_TICK: Final = 0.5
#: how often the worker is asked for a prompt whose frames may be missing, seconds
_ASK: Final = 1.0
#: the same while the socket is fine but silent, seconds
_ASK_SILENT: Final = 5.0
#: after an interrupt, before a worker of ours is started anew, seconds
GRACE: Final = 10.0
#: images that may wait while the ledger is away; further ones are dropped
_IMAGES_WAITING: Final = 64
#: tries to read the history of a prompt that has ended, and the pause between, seconds
_HISTORY_TRIES: Final = 25
_HISTORY_PAUSE: Final = 0.2


class Stop(Enum):
    """Why following is over."""

    #: the worker is done with it, its history knows how
    ENDED = auto()
    #: stopped because we asked, without a word in the history
    CANCELLED = auto()
    #: showed no sign of life for too long
    HUNG = auto()
    #: the worker, or its memory of the prompt, is gone
    LOST = auto()
    #: the attempt is somebody else's by now
    FENCED = auto()


class Host(Protocol):
    """What an attempt needs of its worker."""

    id: str
    link: Link
    inputs: Inputs
    outputs: Outputs
    schema: Schema
    probe: ProbeSide

    def clean_for(self, job: Job) -> bool:
        """Whether a peak measured from now on is this job's alone. False also if nobody can tell."""
        ...

    @property
    def client(self) -> ComfyClient:
        """The worker's interface, at its present address."""
        ...

    @property
    def life(self) -> int:
        """Another number after the worker's process was started anew."""
        ...

    def gone(self, life: int) -> bool:
        """Whether the process of that life is gone, or out of reach for too long."""
        ...

    def refused(self) -> None:
        """It found a prompt invalid that suited what it offers: that may have changed."""
        ...

    async def computes(self) -> bool:
        """Whether its kernels run on its GPU; False where nobody can tell."""
        ...

    def restart(self) -> bool:
        """End the process, to be started anew. False: it is not ours."""
        ...

    def shun(self, uuid: str) -> None:
        """Take nothing more until this prompt, which cannot be stopped, is gone."""
        ...

    def ran(self, job: Job) -> None:
        """The job's models are loaded now."""
        ...


class Follower:
    """Watches one prompt. ``feed`` it all frames of the worker, then ``follow``."""

    def __init__(self, services: Services, host: Host, uuid: str) -> None:
        self._services = services
        self._host = host
        self._uuid = uuid
        #: of the job, once that is known
        self.lane = Lane.INTERACTIVE
        self._life = host.life
        self._opened = host.link.opened
        self._wake = asyncio.Event()
        #: frames to be told, in order; None: no more will come
        self.frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        #: tells a frame without waiting; False: it must wait its turn in ``frames``
        self.tell_now: Callable[[Frame], bool] = lambda frame: False
        self._images_waiting = 0
        self.cancelled = False
        self.preempted = False
        self.fenced = False
        self.hung = False
        self._ended = False
        self._started = False
        self._interrupted_at: float | None = None
        self._restarted = False
        self._abandoned = False
        self._heard = self._asked = self._looked = services.clock()

    # ── from outside ─────────────────────────────────────────────────────────

    def feed(self, frame: Frame) -> None:
        """A frame of the worker's socket. Never waits."""
        if self._ended:
            return
        self._heard = self._services.clock()
        if isinstance(frame, Message):
            if is_end(frame, self._uuid):
                self._ended = True
                self._wake.set()
                return
            self._started |= frame.type == "execution_start" and frame.prompt_id == self._uuid
        if self.frames.empty() and self.tell_now(frame):
            return
        if not isinstance(frame, Binary) or self._may_wait(frame):
            self.frames.put_nowait(frame)

    def told(self, frame: Frame) -> None:
        """A frame was taken from ``frames``."""
        self._images_waiting -= isinstance(frame, Binary)

    def cancel(self) -> None:
        """Somebody wants it stopped."""
        self.cancelled = True
        self._wake.set()

    def preempt(self) -> None:
        """Its place is wanted for another job: stop it, it will run again."""
        self.preempted = True
        self._wake.set()

    def fence(self) -> None:
        """It is no longer ours: stop it, and say nothing more."""
        self.fenced = True
        self._wake.set()

    @property
    def unwanted(self) -> bool:
        """Whether there is no point in starting it."""
        return self.cancelled or self.preempted or self.fenced

    def restart_clock(self) -> None:
        """The prompt begins now."""
        self._heard = self._asked = self._services.clock()

    async def follow(self) -> Stop:
        """Wait until the prompt has stopped, for whatever reason."""
        while (stop := await self._look()) is None:
            try:
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
        return Stop.FENCED if self.fenced else stop

    async def is_known(self) -> bool:
        """Whether the worker has the prompt, in its queue or its history."""
        client = self._host.client
        # in this order: it moves from one to the other in one step
        if self._uuid in await client.queued():
            return True
        return await client.history(self._uuid) is not None

    async def history(self) -> dict[str, Any] | None:
        """The entry of a prompt that has ended; None: the worker no longer knows it."""
        for _ in range(_HISTORY_TRIES):
            try:
                entry = await self._host.client.history(self._uuid)
            except WorkerUnreachable as error:
                _log.info("history_unread", worker=self._host.id, detail=str(error))
                entry = None
            if entry is not None or self._host.gone(self._life):
                return entry
            await asyncio.sleep(_HISTORY_PAUSE)
        return None

    # ── inside ───────────────────────────────────────────────────────────────

    def _may_wait(self, frame: Binary) -> bool:
        """Previews do not pile up while telling waits for the ledger."""
        if self._images_waiting >= _IMAGES_WAITING and frame.metadata is not None:
            return False
        self._images_waiting += 1
        return True

    async def _look(self) -> Stop | None:
        if self._ended:
            return Stop.ENDED
        if self._host.gone(self._life):
            return self._without_a_word()
        await self._watch()
        if self.unwanted or self.hung:
            await self._stop()
        if self._abandoned:
            self._host.shun(self._uuid)
            return Stop.HUNG
        return await self._ask() if self._is_due() else None

    def _without_a_word(self) -> Stop:
        if self.hung:
            return Stop.HUNG
        return Stop.CANCELLED if self.cancelled or self.preempted else Stop.LOST

    async def _watch(self) -> None:
        now, limit = self._services.clock(), self._services.no_progress_s(self.lane)
        silent = now - self._heard
        # whose kernels run is asked only when it is soon to matter, and once a second
        if self.hung or silent < limit / 2 or now - self._looked < min(_ASK, limit / 8):
            return
        self._looked = now
        if await self._host.computes():
            self._heard = self._services.clock()
        elif silent > limit:
            _log.warning("prompt_hung", worker=self._host.id, uuid=self._uuid, silent_s=silent)
            self.hung = True

    async def _stop(self) -> None:
        """Interrupt once; where that does not help, end the process."""
        now = self._services.clock()
        if self._interrupted_at is None:
            self._interrupted_at = now
            try:
                if not self._started:
                    await self._host.client.unqueue(self._uuid)
                # the end may have come in the meantime
                if not self._ended:
                    await self._host.client.interrupt(self._uuid)
            except WorkerUnreachable as error:
                _log.info("interrupt_failed", worker=self._host.id, detail=str(error))
                self._interrupted_at = now - GRACE / 2
        elif now - self._interrupted_at > GRACE and not self._restarted:
            self._restarted = self._host.restart()
            # A worker of somebody else's may be in a long step, which ComfyUI does not
            # interrupt; only one that shows no sign of life is given up.
            self._abandoned = self.hung and not self._restarted
            if self._restarted or self._abandoned:
                _log.warning("interrupt_ignored", worker=self._host.id, uuid=self._uuid)

    def _is_due(self) -> bool:
        """Whether frames may be missing, so that the worker has to be asked."""
        now = self._services.clock()
        link = self._host.link
        doubtful = (
            not link.connected.is_set()
            or link.opened != self._opened
            or self._interrupted_at is not None
        )
        if doubtful:
            return now - self._asked >= _ASK
        return now - max(self._asked, self._heard) >= _ASK_SILENT

    async def _ask(self) -> Stop | None:
        self._asked = self._services.clock()
        try:
            if await self.is_known():
                if await self._host.client.history(self._uuid) is None:
                    return None
                self._ended = True
                return Stop.ENDED
        except WorkerUnreachable:
            # ``gone`` decides how long that is borne
            return None
        return Stop.ENDED if self._ended else self._without_a_word()
