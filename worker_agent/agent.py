"""The agent of one GPU host: takes orders, drives workers, reports what it sees."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from config.settings import Settings
from config.tls import serving, trusting
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import Agent as AgentRecord
from worker_agent import endpoint, verdict
from worker_agent.captures import Captures
from worker_agent.comfy_client import ComfyClient, new_session
from worker_agent.crew import run_together, stop_all
from worker_agent.files import WorkerFiles
from worker_agent.gpus import GpuBook
from worker_agent.heartbeat import REPORT, Heartbeat
from worker_agent.host import HostBook
from worker_agent.judge import Judge
from worker_agent.launch import LaunchSpec
from worker_agent.live import LiveHub
from worker_agent.mps import Mps, our_environment
from worker_agent.mps_client import mps_home
from worker_agent.nvml import GpuReader
from worker_agent.packs import PackRoutes
from worker_agent.place import Place
from worker_agent.probe_client import ProbeClient
from worker_agent.probe_pack import probe_token
from worker_agent.recording import Recording
from worker_agent.services import Services, patiently
from worker_agent.spool import Spool
from worker_agent.supervisor import Supervisor
from worker_agent.upkeep import Upkeep
from worker_agent.verdict import Figures
from worker_agent.worker import WorkerDriver
from worker_agent.worker_log import LogBounds
from worker_agent.worker_logs import WorkerLogs

_log = structlog.get_logger(__name__)

#: one wait for an order, seconds
_ORDER_WAIT: Final = 5.0
#: pause after a ledger that does not answer, seconds
_LEDGER_PAUSE: Final = 0.5
#: how long stopping may spend on handing back what runs, seconds
_HAND_BACK: Final = 5.0
#: a worker that starts keeps one core busy; the rest is for what runs already and for the disk
_CORES_FOR_A_START: Final = 4


class Agent:
    """Everything that runs on one host."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        ledger: Ledger,
        reader: GpuReader | None,
        specs: Sequence[LaunchSpec],
        agent_id: str,
        data_dir: Path,
        token: str,
        version: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """Set the agent up; ``run`` starts it.

        Args:
            settings: what is in force now; the agent's own section holds for its life.
            ledger: not closed here.
            reader: None on a host without NVML; closed when ``run`` ends.
            specs: workers to start; ``settings.agent.workers`` are driven besides.
            agent_id: stable name of this agent.
            data_dir: where ``workers.json`` lies, and files while they are passed on.
            token: the cluster token.
            version: of this program, shown to gateways.
            clock: monotonic seconds.
            wall: seconds since the epoch.
            new_id: a fresh lowercase uuid4.
        """
        self.id = agent_id
        #: base URL of the endpoint, known once ``started`` is set
        self.url = ""
        self.started = asyncio.Event()
        self._settings = settings()
        self._current = settings
        self._ledger = ledger
        self._reader = reader
        self._specs = {spec.id: spec for spec in specs}
        self._token = token
        self._version = version
        self._clock, self._wall, self._new_id = clock, wall, new_id
        self._hub = LiveHub(clock)
        self._book = GpuBook(reader, agent_id, self._settings.admission.foreign_window, clock)
        self._host = HostBook(clock)
        self._scratch = _emptied(data_dir / "scratch")
        self._recording = Recording(agent_id, ledger, Spool(data_dir / "records", wall))
        record = AgentRecord(id=agent_id, url="", version=version, heartbeat_ms=0, boot=new_id())
        #: what the ledger is told, and when
        self.heartbeat = Heartbeat(ledger, record, self._book, self._host, self._settings, clock)
        ours, simulated = self._settings.agent.comfyui, self._settings.agent.simulate is not None
        self._supervisor = Supervisor(
            specs,
            data_dir / "workers.json",
            stagger_s=0.0 if simulated else ours.stagger,
            at_once=max(1, (os.cpu_count() or 1) // _CORES_FOR_A_START),
            logs=LogBounds(ours.log_size, ours.log_files),
            on_change=self.heartbeat.wake,
        )
        gpus = sorted({spec.gpu_uuid for spec in specs if spec.gpu_uuid})
        self._mps = (
            Mps(mps_home(data_dir), gpus, our_environment(), self._mps_died)
            if ours.mps and gpus and not simulated
            else None
        )
        self._drivers: dict[str, WorkerDriver] = {}

    async def run(self) -> None:
        """Work until cancelled or told to by SIGTERM; then stop our workers."""
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(new_session(trusting(self._settings.cluster)))
            self._build(session)
            await self._listen(stack)
            try:
                await self._until_stopped()
            finally:
                await asyncio.shield(self._stop())

    # ── setting up ───────────────────────────────────────────────────────────

    def _build(self, session: aiohttp.ClientSession) -> None:
        services = Services(
            agent=self.id,
            current=self._current,
            ledger=self._ledger,
            hub=self._hub,
            book=self._book,
            host=self._host,
            recording=self._recording,
            session=session,
            scratch=self._scratch,
            token=self._token,
            clock=self._clock,
            wall=self._wall,
            new_id=self._new_id,
            sample=lambda: self.heartbeat.sample(now=True),
            report=self.heartbeat.report,
            wake=self.heartbeat.wake,
            client_of=self._client_of,
        )
        for place in self._places():
            process = self._supervisor.process(place.id)
            self._drivers[place.id] = WorkerDriver(services, place, process)
        drivers = self._drivers.values()
        self.heartbeat.workers = lambda: [driver.report() for driver in drivers]
        self.heartbeat.tenants = lambda: [driver.tenant() for driver in drivers]
        self.heartbeat.busy = lambda: not all(driver.idle for driver in drivers)
        self.heartbeat.watched = lambda: any(driver.watched for driver in drivers)

    def _places(self) -> list[Place]:
        probed = self._settings.probe.enabled
        ours = [
            Place(
                id=spec.id,
                url=spec.url,
                gpu_uuid=spec.gpu_uuid,
                folders=spec.folders,
                probe_token=probe_token(spec.id, self._token) if probed else "",
            )
            for spec in self._specs.values()
        ]
        # numbered on from the workers we start
        others = [
            Place(
                id=f"{self.id}-{number}",
                url=worker.url,
                gpu_index=worker.gpu,
                probe_token=worker.probe_token or "",
            )
            for number, worker in enumerate(self._settings.agent.workers, start=len(ours))
        ]
        return ours + others

    async def _listen(self, stack: AsyncExitStack) -> None:
        files = WorkerFiles(self._client_of, self._folders_of)
        logs = WorkerLogs(self._log_of)
        packs = PackRoutes(self._client_of)
        judge, captures = Judge(self._probe_of), Captures(self._probe_of)
        app = endpoint.build(
            self.id, self._version, self._token, self._hub, files, packs, logs, judge, captures
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        host = self._settings.agent.host
        tls = serving(self._settings.agent)
        site = web.TCPSite(runner, host, self._settings.agent.port, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        scheme = "http" if tls is None else "https"
        named = f"[{host}]" if ":" in host else host
        self.url = self._settings.agent.advertise or f"{scheme}://{named}:{port}"
        self.heartbeat.record = replace(self.heartbeat.record, url=self.url)
        _log.info("agent_listening", agent=self.id, url=self.url)

    # ── running ──────────────────────────────────────────────────────────────

    async def _until_stopped(self) -> None:
        await self._supervisor.take_over()
        await self.heartbeat.sample()
        working = asyncio.create_task(self._work())
        # only the main thread may handle signals, and only Unix loops can
        if threading.current_thread() is threading.main_thread():
            # Left in place to the end: a supervisor that is killed sends a second SIGTERM,
            # and by default that one would end us before our workers are stopped.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        try:
            await asyncio.wait([working])
        finally:
            await stop_all([working])
        if not working.cancelled():
            working.result()
        _log.info("agent_terminated", agent=self.id)

    async def _work(self) -> None:
        # workers start while the ledger may still be away
        parts = [self._supervisor.run(), self._drive()]
        if self._mps is not None:
            self._mps.start()
            parts.append(self._mps.run())
        await run_together(*parts)

    async def _mps_died(self) -> None:
        """What its clients computed and hold is in doubt: they begin anew, their jobs again."""
        for driver in self._drivers.values():
            driver.restart()
        await self.heartbeat.report()

    async def _drive(self) -> None:
        await self._adopt()
        self.started.set()
        await run_together(
            *(driver.run() for driver in self._drivers.values()),
            self._recording.run(),
            self.heartbeat.run(),
            self._upkeep().run(),
            self._take_orders(),
            self._follow_server(),
        )

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            self.id,
            self._ledger,
            self._drivers,
            bounds=self._settings.agent.comfyui,
            host_bytes=self._host.used,
            report=self.heartbeat.report,
            clock=self._clock,
        )

    async def _adopt(self) -> None:
        for job in await patiently(lambda: self._ledger.held(self.id), "held"):
            driver = self._drivers.get(job.worker)
            if driver is not None:
                driver.adopt(job)

    async def _take_orders(self) -> None:
        while True:
            try:
                order = await self._ledger.next_order(self.id, _ORDER_WAIT)
            except LedgerUnavailable as error:
                _log.warning("ledger_unavailable", call="next_order", detail=str(error))
                await asyncio.sleep(_LEDGER_PAUSE)
                continue
            if order is None:
                continue
            driver = self._drivers.get(order.worker)
            if driver is None:
                _log.warning("order_for_unknown_worker", worker=order.worker, job=order.job)
            else:
                driver.order(order)
                self.heartbeat.wake()
                # it begins before we ask for the next one, which takes longer than it looks
                await asyncio.sleep(0)

    async def _follow_server(self) -> None:
        """Say again what a restarted server may have lost: its last second, by default."""
        known = ""
        while True:
            try:
                run_id = await self._ledger.run_id()
            except LedgerUnavailable as error:
                _log.debug("ledger_unavailable", call="run_id", detail=str(error))
            else:
                if known not in ("", run_id):
                    _log.warning("ledger_restarted", run_id=run_id)
                    await self.heartbeat.report()
                    await asyncio.gather(*(driver.confirm() for driver in self._drivers.values()))
                known = run_id
                for driver in self._drivers.values():
                    driver.settled.forget()
            await asyncio.sleep(REPORT)

    # ── stopping ─────────────────────────────────────────────────────────────

    async def _stop(self) -> None:
        self._hub.close()
        try:
            async with asyncio.timeout(_HAND_BACK):
                # first of all: what is given back must not come back here
                await self.heartbeat.goodbye()
                # what an agent of our name has taken over is no longer ours to give back
                if not self.heartbeat.replaced:
                    drivers = self._drivers.values()
                    await asyncio.gather(*(driver.hand_back() for driver in drivers))
                    await self._hand_back_unclaimed()
        except TimeoutError:
            _log.warning("agent_stop_incomplete", agent=self.id)
        await self._supervisor.stop()
        if self._mps is not None:
            await self._mps.stop()
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)

    async def _hand_back_unclaimed(self) -> None:
        """Give back what was promised to our workers but has not begun."""
        try:
            for job in await self._ledger.held(self.id):
                figures = Figures(peak_bytes=0, run_seconds=0.0, reserved_bytes=0)
                await self._ledger.settle(job.id, job.attempt, verdict.returned(figures))
        except LedgerUnavailable as error:
            _log.warning("ledger_unavailable", call="settle", detail=str(error))

    # ── look-ups ─────────────────────────────────────────────────────────────

    def _client_of(self, worker: str) -> ComfyClient | None:
        driver = self._drivers.get(worker)
        return driver.client if driver is not None else None

    def _log_of(self, worker: str) -> Path | None:
        spec = self._specs.get(worker)
        return spec.log_path if spec is not None else None

    def _probe_of(self, worker: str) -> ProbeClient | None:
        driver = self._drivers.get(worker)
        return driver.probe.client if driver is not None else None

    def _folders_of(self, worker: str) -> Mapping[str, Path]:
        spec = self._specs.get(worker)
        return spec.folders if spec is not None else {}


def _emptied(folder: Path) -> Path:
    """A folder without what an agent that was killed left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
