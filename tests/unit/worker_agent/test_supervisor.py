from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from worker_agent.launch import LaunchSpec
from worker_agent.supervisor import Noted, Process, Registry, Supervisor, start_time

SLEEPER = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def spec(folder: Path, code: str = SLEEPER, worker: str = "host-0") -> LaunchSpec:
    return LaunchSpec(
        id=worker,
        command=(sys.executable, "-c", code),
        env={},
        url="http://127.0.0.1:1",
        gpu_uuid=None,
        log_path=folder / "log" / "worker.log",
    )


async def until(true: Callable[[], Awaitable[bool] | bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def supervised(
    *specs: LaunchSpec, folder: Path, stagger_s: float = 0.0, at_once: int = 1
) -> AsyncIterator[Supervisor]:
    registry = folder / "workers.json"
    supervisor = Supervisor(specs, registry, stagger_s=stagger_s, at_once=at_once)
    await supervisor.take_over()
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        task.cancel()
        await supervisor.stop(grace_s=0.3)


def process(supervisor: Supervisor, worker: str = "host-0") -> Process:
    found = supervisor.process(worker)
    assert found is not None
    return found


async def test_a_dead_process_is_started_again(tmp_path: Path) -> None:
    async with supervised(spec(tmp_path), folder=tmp_path) as supervisor:
        await until(lambda: process(supervisor).pid is not None)
        first = process(supervisor).pid
        process(supervisor).kill()
        await until(lambda: process(supervisor).pid not in (None, first))


async def test_workers_run_in_a_session_of_their_own_and_write_to_their_log(tmp_path: Path) -> None:
    loud = spec(tmp_path, "import time; print('hello', flush=True); time.sleep(60)")
    async with supervised(loud, folder=tmp_path) as supervisor:
        await until(lambda: process(supervisor).pid is not None)
        pid = process(supervisor).pid
        assert pid is not None
        assert os.getsid(pid) == pid
        await until(lambda: loud.log_path.read_text() == "hello\n")


async def test_stopping_ends_even_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    async with supervised(spec(tmp_path, STUBBORN), folder=tmp_path) as supervisor:
        await until(lambda: process(supervisor).pid is not None)
        pid = process(supervisor).pid
        assert pid is not None
    assert start_time(pid) is None
    assert json.loads((tmp_path / "workers.json").read_text()) == {}


async def test_a_process_that_outlived_its_agent_is_adopted(tmp_path: Path) -> None:
    old = Supervisor([spec(tmp_path)], tmp_path / "workers.json")
    task = asyncio.create_task(old.run())
    await until(lambda: process(old).pid is not None)
    pid = process(old).pid
    task.cancel()  # as a killed agent: nothing is stopped
    moved = LaunchSpec(
        id="host-0",
        command=("false",),
        env={},
        url="http://other",
        gpu_uuid=None,
        log_path=tmp_path / "other.log",
    )
    async with supervised(moved, folder=tmp_path) as supervisor:
        assert process(supervisor).pid == pid
        assert process(supervisor).adopted
        assert process(supervisor).url == "http://127.0.0.1:1"


async def test_a_pid_that_is_somebody_elses_by_now_is_not_adopted(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "workers.json")
    registry.write({"host-0": Noted(os.getpid(), 1, "http://x")})
    async with supervised(spec(tmp_path), folder=tmp_path) as supervisor:
        assert not process(supervisor).adopted
        await until(lambda: process(supervisor).pid not in (None, os.getpid()))


async def test_a_worker_that_is_no_longer_wanted_is_stopped(tmp_path: Path) -> None:
    old = Supervisor([spec(tmp_path)], tmp_path / "workers.json")
    task = asyncio.create_task(old.run())
    await until(lambda: process(old).pid is not None)
    pid = process(old).pid
    assert pid is not None
    task.cancel()
    async with supervised(folder=tmp_path):
        assert start_time(pid) is None
    await asyncio.to_thread(os.waitpid, pid, 0)


async def test_a_damaged_registry_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "workers.json").write_text('{"host-0": [1')
    async with supervised(spec(tmp_path), folder=tmp_path) as supervisor:
        await until(lambda: process(supervisor).pid is not None)


async def test_a_command_that_does_not_exist_is_tried_again_and_stops_cleanly(
    tmp_path: Path,
) -> None:
    missing = LaunchSpec(
        id="host-0",
        command=("no-such-program",),
        env={},
        url="http://x",
        gpu_uuid=None,
        log_path=tmp_path / "x.log",
    )
    async with supervised(missing, folder=tmp_path) as supervisor:
        await asyncio.sleep(0.1)
        assert process(supervisor).pid is None


def test_a_zombie_counts_as_dead() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", SLEEPER], {})
    assert start_time(pid) is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert start_time(pid) is None
    os.waitpid(pid, 0)


async def test_workers_start_one_after_the_other_s_first_answer(tmp_path: Path) -> None:
    specs = [spec(tmp_path, worker=f"host-{number}") for number in range(2)]
    async with supervised(*specs, folder=tmp_path, stagger_s=60.0) as supervisor:
        first, second = (process(supervisor, one.id) for one in specs)
        await until(lambda: first.pid is not None)
        await asyncio.sleep(0.3)
        assert second.pid is None
        first.answered.set()
        await until(lambda: second.pid is not None)


async def test_so_many_start_at_a_time_as_the_machine_has_cores_for(tmp_path: Path) -> None:
    specs = [spec(tmp_path, worker=f"host-{number}") for number in range(3)]
    async with supervised(*specs, folder=tmp_path, stagger_s=60.0, at_once=2) as supervisor:
        first, second, third = (process(supervisor, one.id) for one in specs)
        await until(lambda: first.pid is not None and second.pid is not None)
        await asyncio.sleep(0.3)
        assert third.pid is None
        second.answered.set()
        await until(lambda: third.pid is not None)


async def test_a_worker_that_dies_while_it_starts_does_not_hold_the_next_up(
    tmp_path: Path,
) -> None:
    specs = [spec(tmp_path, "raise SystemExit(1)"), spec(tmp_path, worker="host-1")]
    async with supervised(*specs, folder=tmp_path, stagger_s=60.0) as supervisor:
        await until(lambda: process(supervisor, "host-1").pid is not None)


async def test_a_paused_process_stays_down_until_it_is_resumed(tmp_path: Path) -> None:
    async with supervised(spec(tmp_path), folder=tmp_path) as supervisor:
        one = process(supervisor)
        await until(lambda: one.pid is not None)
        await one.pause(grace_s=1.0)
        await asyncio.sleep(0.8)
        assert one.pid is None
        one.resume()
        await until(lambda: one.pid is not None)


async def test_a_renewed_process_is_another_one(tmp_path: Path) -> None:
    async with supervised(spec(tmp_path), folder=tmp_path) as supervisor:
        one = process(supervisor)
        await until(lambda: one.pid is not None)
        before = one.pid
        await one.renew(grace_s=1.0)
        await until(lambda: one.pid not in (None, before))


async def test_a_log_is_its_owner_s_alone(tmp_path: Path) -> None:
    quiet = spec(tmp_path)
    async with supervised(quiet, folder=tmp_path) as supervisor:
        await until(lambda: process(supervisor).pid is not None)
        assert quiet.log_path.stat().st_mode & 0o077 == 0
