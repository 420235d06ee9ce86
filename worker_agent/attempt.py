"""One try at one job on one worker, from the claim to the settled books.

The order of everything that leaves: live frames as the worker said them, the
end mark, then ``settle`` with the closing frames. What the worker's history
says is the truth; its socket only tells sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog

from scheduler.ledger import Claimed, Ending, LedgerUnavailable, Outcome, Refusal, Renewed
from scheduler.probed import Probed
from scheduler.states import FailReason, Job, JobState
from worker_agent import loose_json, verdict
from worker_agent.comfy_client import Rejected, WorkerUnreachable
from worker_agent.crew import stop_all
from worker_agent.follow import Follower, Host, Stop
from worker_agent.frames import Frame
from worker_agent.inputs import InputGone, InputsUnavailable
from worker_agent.load import Load, load_of
from worker_agent.services import Services, patiently
from worker_agent.teller import Teller
from worker_agent.tenancy import Names
from worker_agent.upstream import both_names, classes, upstream
from worker_agent.verdict import Figures

_log = structlog.get_logger(__name__)

#: how long a worker may take to answer an interrupt when its prompt is given up, seconds
_INTERRUPT = 2.0
_HUNG = "The prompt showed no sign of life for {seconds:.0f} s and was stopped."


class Attempt:
    """Runs one attempt. ``run`` or ``adopt`` once; feed it all frames meanwhile."""

    def __init__(self, services: Services, host: Host, job_id: str, number: int, uuid: str) -> None:
        self.job_id = job_id
        self.number = number
        self._services = services
        self._host = host
        self._uuid = uuid
        self._follower = Follower(services, host, uuid)
        self._began = services.clock()
        self._clean = False
        self.load = Load("", 0)
        #: when its worker was done with it, and what its probe measured; 0: not
        self._ended = 0.0
        self._measured = 0
        self._probed: Probed | None = None
        self._sid = ""
        self._outcome: Outcome | None = None
        self._teller: Teller | None = None
        #: what its worker said of its end, as an outcome with its files' names of now
        self._conclude: Callable[[], Outcome] | None = None
        self._log = _log.bind(job=job_id, attempt=number, worker=host.id)

    def feed(self, frame: Frame) -> None:
        """A frame of the worker's socket, in order. Never waits."""
        self._follower.feed(frame)
        if self.load.ends_with(frame):
            self._services.wake()

    def cancel(self) -> None:
        """Stop the prompt; it settles as whatever it becomes."""
        self._follower.cancel()

    def preempt(self) -> None:
        """Stop the prompt and give the job back, unless it ends by itself first."""
        self._log.info("preempted")
        self._follower.preempt()

    def is_of(self, job_id: str, number: int) -> bool:
        """Whether it is this attempt."""
        return (self.job_id, self.number) == (job_id, number)

    async def confirm(self) -> None:
        """Claim and settle again what was claimed and settled, for a ledger that may have lost it.

        Both say the same when nothing was lost. Where more was lost than that, the
        attempt is nobody's: what runs of it is stopped.
        """
        if not self._sid:
            return
        lease_ms, ledger = self._services.lease_ms, self._services.ledger
        known = await patiently(lambda: ledger.renew(self.job_id, self.number, lease_ms), "renew")
        if isinstance(known, Renewed) and not known.cancel:
            await patiently(
                lambda: ledger.claim(
                    self.job_id, self.number, self._host.id, self._uuid, self._sid, lease_ms
                ),
                "claim",
            )
        if isinstance(known, Refusal) and (self._outcome is None or known is Refusal.UNKNOWN):
            self._log.warning("attempt_forgotten", reason=known.value)
            self._follower.fence()
            return
        if self._teller is not None:
            await self._teller.name_again()
        if self._outcome is not None:
            outcome = self._conclude() if self._conclude is not None else self._outcome
            await patiently(lambda: ledger.settle(self.job_id, self.number, outcome), "settle")

    async def run(self) -> None:
        """Claim, post, follow, settle."""
        sid = self._host.link.sid
        claimed = await patiently(
            lambda: self._services.ledger.claim(
                self.job_id, self.number, self._host.id, self._uuid, sid, self._services.lease_ms
            ),
            "claim",
        )
        if isinstance(claimed, Refusal):
            self._log.info("claim_refused", reason=claimed.value)
            return
        job = claimed.job
        self._sid, self._follower.lane = job.sid, job.lane
        # when it is on its way: nobody waits for a line of ours
        asyncio.get_running_loop().call_soon(self._tell_claimed, job)
        async with self._renewing():
            await self._settle(job, await self._play(claimed))

    def _tell_claimed(self, job: Job) -> None:
        self._log.info("claimed", user=job.user, uuid=self._uuid)

    async def adopt(self, job: Job) -> None:
        """Go on with a prompt that an earlier agent posted."""
        self._log.info("attempt_adopted", user=job.user, uuid=self._uuid)
        self._services.book.start_peak(self._host.id)
        self._host.probe.records.follow(job, self._uuid)
        self._sid, self._follower.lane = job.sid, job.lane
        if job.state is JobState.CANCELLING:
            self.cancel()
        if job.preempting:
            self.preempt()
        async with self._renewing():
            await self._settle(job, await self._follow(job, both_names(job), {}))

    async def give_up(self) -> None:
        """Interrupt and settle LOST: the worker or our own part in it is broken."""
        await self._leave(verdict.lost(self._figures(0)))

    async def hand_back(self) -> None:
        """Interrupt and settle RETURNED, because this agent stops."""
        await self._leave(verdict.returned(self._figures(0)))

    async def _leave(self, outcome: Outcome) -> None:
        try:
            async with asyncio.timeout(_INTERRUPT):
                await self._host.client.interrupt(self._uuid)
        except (WorkerUnreachable, TimeoutError) as error:
            self._log.info("interrupt_failed", detail=str(error))
        try:
            await self._services.ledger.settle(self.job_id, self.number, outcome)
        except LedgerUnavailable as error:
            # its lease passes, and the scheduler closes it
            self._log.warning("ledger_unavailable", call="settle", detail=str(error))

    # ── steps ────────────────────────────────────────────────────────────────

    async def _play(self, claimed: Claimed) -> Outcome | None:
        """Start the prompt and follow it to its end; None: drop everything."""
        job, names, kinds = claimed.job, both_names(claimed.job), classes(claimed.prompt)
        self._clean = self._host.clean_for(job) and not claimed.again
        self._services.book.start_peak(self._host.id)
        try:
            if not (claimed.again and await self._follower.is_known()):
                body, names = await self._translate(claimed)
                await self._host.probe.before_prompt(job, self._uuid)
                if self._follower.unwanted:
                    return self._never_started(names)
                self.load = load_of(job, kinds)
                rejected = await self._post(body)
                if rejected is not None:
                    self._host.refused()
                    figures = self._figures(job.reserved_bytes)
                    return verdict.refused(rejected, names, figures, self._now_ms())
        except (WorkerUnreachable, InputsUnavailable) as error:
            self._log.warning("attempt_not_started", detail=str(error))
            # else the job could be sent straight back to the worker that has just gone
            await self._services.report()
            return verdict.lost(self._figures(job.reserved_bytes))
        except InputGone as error:
            return self._failed(str(error), FailReason.NODE_ERROR, names)
        return await self._follow(job, names, kinds)

    async def _translate(self, claimed: Claimed) -> tuple[dict[str, Any], Names]:
        """The prompt's body in the worker's names, its files in place."""
        host, job = self._host, claimed.job
        body = loose_json.decode(claimed.prompt)
        placed = await host.inputs.place(host.client, job, body["prompt"], host.schema)
        return upstream(body, job, placed, host.schema)

    async def _post(self, body: dict[str, Any]) -> Rejected | None:
        self._began = self._services.clock()
        self._follower.restart_clock()
        try:
            reply = await self._host.client.post_prompt(body)
        except WorkerUnreachable:
            if await self._has_arrived():
                return None
            raise
        return reply if isinstance(reply, Rejected) else None

    async def _has_arrived(self) -> bool:
        """Whether a prompt that got no answer reached the worker all the same.

        Raises:
            WorkerUnreachable: nobody can tell. A frozen worker would run it once it is back,
                beside the next job: so the process ends, or takes nothing until it is gone.
        """
        try:
            return await self._follower.is_known()
        except WorkerUnreachable:
            if not self._host.restart():
                self._host.shun(self._uuid)
            raise

    async def _follow(self, job: Job, names: Names, classes: dict[str, str]) -> Outcome | None:
        """Tell what the worker says until it stops; then judge."""
        link = self._host.link
        teller = Teller(
            self._services,
            job,
            names,
            self._host.schema,
            self._host.outputs,
            classes,
            lambda: link.previews_with_metadata,
        )
        self._teller = teller
        telling = asyncio.create_task(self._tell(teller))
        self._follower.tell_now = teller.tell_now
        try:
            stop = await self._follower.follow()
            self._follower.frames.put_nowait(None)
            await telling
        finally:
            await stop_all([telling])
        if stop is Stop.FENCED:
            self._log.warning("attempt_fenced")
            return None
        outcome = await self._judge(stop, job, names, teller)
        teller.end()
        return outcome

    async def _tell(self, teller: Teller) -> None:
        frames = self._follower.frames
        while (frame := await frames.get()) is not None:
            self._follower.told(frame)
            await teller.tell(frame)

    async def _judge(self, stop: Stop, job: Job, names: Names, teller: Teller) -> Outcome:
        self._ended = self._services.clock()
        entry = None
        if stop is Stop.ENDED:
            # neither needs the other's answer, and the job's user waits for both
            entry, _ = await asyncio.gather(
                self._follower.history(), self._host.probe.after_prompt()
            )
            self._host.ran(job)
        # what it holds now must be known before its reservation goes
        await self._services.sample()
        if stop is Stop.ENDED:
            self._measured = self._host.probe.peak_bytes()
            self._probed = self._host.probe.probed()
        figures = self._figures(job.reserved_bytes)
        outcome = None
        if entry is not None:
            files = await teller.files(entry.get("outputs"))
            conclude = partial(verdict.concluded, entry, teller.closing, names, files, figures)
            outcome = conclude()
            if outcome.ending is not Ending.CANCELLED:
                self._conclude = conclude
        if outcome is None or outcome.ending is Ending.CANCELLED:
            outcome = self._cut_short(stop, outcome, names, teller, figures)
        await self._services.report()
        return outcome

    def _cut_short(
        self, stop: Stop, told: Outcome | None, names: Names, teller: Teller, figures: Figures
    ) -> Outcome:
        """What is said of a prompt that did not end by itself; ``told``: by its worker."""
        follower = self._follower
        if stop is Stop.HUNG or follower.hung:
            # an interrupt does not cure what it hung on; and no job must be sent there first
            self._host.restart()
            return self._hang(names)
        if follower.preempted and not follower.cancelled:
            return verdict.returned(figures)
        if told is not None:
            return told
        if stop is Stop.CANCELLED or follower.cancelled:
            node_type = teller.classes.get(teller.node, "")
            return verdict.cancelled(names, teller.node, node_type, figures, self._now_ms())
        return verdict.lost(figures)

    async def _settle(self, job: Job, outcome: Outcome | None) -> None:
        if outcome is None:
            await self._forget()
            return
        self._outcome = outcome
        reply = await patiently(
            lambda: self._services.ledger.settle(self.job_id, self.number, outcome), "settle"
        )
        if isinstance(reply, Refusal):
            self._log.warning("settle_refused", reason=reply.value, ending=outcome.ending.value)
            return
        self._log.info(
            "settled",
            user=job.user,
            ending=outcome.ending.value,
            state=reply.state.value,
            seconds=round(outcome.run_seconds, 3),
            peak_bytes=outcome.peak_bytes,
        )
        await self._forget()

    async def _forget(self) -> None:
        """The worker's own history would hold the prompt for everybody who can ask it."""
        try:
            await self._host.client.forget(self._uuid)
        except WorkerUnreachable as error:
            self._log.debug("history_not_dropped", detail=str(error))

    # ── the lease ────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            await stop_all([renewing])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._services.lease_ms / 3000)
            try:
                reply = await self._services.ledger.renew(
                    self.job_id, self.number, self._services.lease_ms
                )
            except LedgerUnavailable as error:
                # the prompt goes on: who is first back, we or the reaper, decides
                self._log.warning("ledger_unavailable", call="renew", detail=str(error))
                continue
            match reply:
                case Renewed():
                    self._obey(reply)
                case Refusal():
                    self._log.warning("lease_lost", reason=reply.value)
                    self._follower.fence()
                    return

    def _obey(self, told: Renewed) -> None:
        """Do what the orders that may have been lost would have us do."""
        if told.cancel:
            self.cancel()
        elif told.preempt:
            self._follower.preempt()

    # ── small outcomes ───────────────────────────────────────────────────────

    def _never_started(self, names: Names) -> Outcome | None:
        follower, figures = self._follower, self._figures(0)
        if follower.fenced:
            return None
        if follower.preempted and not follower.cancelled:
            return verdict.returned(figures)
        return verdict.cancelled(names, "", "", figures, self._now_ms())

    def _hang(self, names: Names) -> Outcome:
        text = _HUNG.format(seconds=self._services.no_progress_s(self._follower.lane))
        return self._failed(text, FailReason.HUNG, names)

    def _failed(self, message: str, reason: FailReason, names: Names) -> Outcome:
        return verdict.failed(message, reason, names, self._figures(0), self._now_ms())

    def _figures(self, reserved_bytes: int) -> Figures:
        return Figures(
            # what the driver saw counts too: nodes may take memory outside torch
            peak_bytes=max(self._measured, self._services.book.peak(self._host.id)),
            run_seconds=(self._ended or self._services.clock()) - self._began,
            reserved_bytes=reserved_bytes,
            clean=self._clean,
            probed=self._probed,
        )

    def _now_ms(self) -> int:
        return round(self._services.wall() * 1000)
