"""The supervisor, with small children that do nothing but live and die."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cli.logbook import LogBook
from cli.supervise import MOST_FALSE_STARTS, Service, Supervisor

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"


class Nursery:
    """A supervisor and what was shown and noted."""

    def __init__(self, folder: Path) -> None:
        self.shown: list[str] = []
        self.folder = folder
        self.book = LogBook(folder / "logs", "info", self.shown.append)
        self.changed = asyncio.Event()
        self.supervisor = Supervisor(self.book, self.changed.set, time.monotonic)

    def start(self, name: str, code: str, stop_within_s: float = 10.0) -> None:
        command = [sys.executable, "-c", code]
        self.supervisor.start(
            Service(
                name=name, command=command, environ=dict(os.environ), stop_within_s=stop_within_s
            )
        )

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.02)

    def pid(self, name: str) -> int:
        return self.supervisor.state()[name]["pid"]


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    made = Nursery(tmp_path)
    yield made
    made.supervisor.kill_all()
    for name in list(made.supervisor.state()):
        await made.supervisor.stop(name)
    made.book.close()


def is_alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_a_child_that_dies_is_started_again(nursery: Nursery) -> None:
    nursery.supervisor.steady = True
    nursery.start("a", SLEEPS)
    await nursery.until(lambda: nursery.pid("a") > 0)
    first = nursery.pid("a")
    os.kill(first, signal.SIGKILL)
    await nursery.until(lambda: nursery.pid("a") not in (0, first))
    assert nursery.supervisor.state()["a"]["restarts"] == 1


async def test_pauses_between_restarts_grow(nursery: Nursery) -> None:
    nursery.supervisor.steady = True
    stamps = nursery.folder / "stamps"
    code = f"import time; open({str(stamps)!r}, 'a').write(f'{{time.monotonic()}}\\n')"
    nursery.start("a", code)
    await nursery.until(lambda: stamps.exists() and len(stamps.read_text().split()) >= 4)
    times = [float(line) for line in stamps.read_text().split()]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # never earlier than the pause; how much later is the machine's business
    assert all(gap >= pause for gap, pause in zip(gaps, (0.2, 0.4, 0.8), strict=False))


async def test_a_refusal_at_the_start_ends_it_all_and_quotes_the_child(nursery: Nursery) -> None:
    nursery.start("a", "import sys; print('error: port 8288 is in use'); sys.exit(1)")
    failure = await asyncio.wait_for(nursery.supervisor.failure, 30)
    assert failure.startswith("a cannot start:\nerror: port 8288 is in use")


async def test_a_child_that_keeps_crashing_at_the_start_is_given_up(nursery: Nursery) -> None:
    nursery.start("a", "import os; os._exit(70)")
    failure = await asyncio.wait_for(nursery.supervisor.failure, 30)
    assert "ended with code 70 and said nothing" in failure
    assert nursery.supervisor.state()["a"]["restarts"] >= MOST_FALSE_STARTS - 1


async def test_once_all_was_up_nothing_is_given_up(nursery: Nursery) -> None:
    nursery.supervisor.steady = True
    nursery.start("a", "import sys; sys.exit(1)")
    await nursery.until(lambda: nursery.supervisor.state()["a"]["restarts"] >= 2)
    assert not nursery.supervisor.failure.done()


async def test_stopping_waits_for_the_child_s_own_end(nursery: Nursery) -> None:
    done = nursery.folder / "done"
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(done)!r}, 'w'), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    nursery.start("a", code)
    await nursery.until(lambda: any("ready" in line for line in nursery.shown))
    await nursery.supervisor.stop("a")
    assert done.exists()
    assert nursery.supervisor.state() == {}


async def test_a_child_that_ignores_us_is_killed_with_what_it_started(nursery: Nursery) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    nursery.start("a", code, stop_within_s=0.2)
    await nursery.until(lambda: any("child" in line for line in nursery.shown))
    grandchild = int(next(line for line in nursery.shown if "child" in line).split()[-1])
    await nursery.supervisor.stop("a")
    await nursery.until(lambda: not is_alive(grandchild))


async def test_what_a_child_writes_is_kept_and_what_matters_is_shown(nursery: Nursery) -> None:
    nursery.book = LogBook(nursery.folder / "logs2", "warning", nursery.shown.append)
    nursery.book.line("a", b'{"event": "admit", "level": "info", "job": "j1"}\n')
    nursery.book.line("a", b'{"event": "lease_lost", "level": "warning", "job": "j1"}\n')
    nursery.book.line("a", b"Traceback (most recent call last):\x1b[31m\n")
    assert nursery.shown == [
        "a         | warning lease_lost job=j1",
        "a         | Traceback (most recent call last):[31m",
    ]
    assert len(nursery.book.path("a").read_text().splitlines()) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys, time\n"
        "from pathlib import Path\n"
        "from cli.logbook import LogBook\n"
        "from cli.supervise import Service, Supervisor\n"
        "async def main():\n"
        "    book = LogBook(Path(sys.argv[1]), 'info', lambda line: None)\n"
        "    supervisor = Supervisor(book, lambda: None, time.monotonic)\n"
        f"    command = [sys.executable, '-c', {SLEEPS!r}]\n"
        "    supervisor.start(Service(name='a', command=command, environ=dict(os.environ),"
        " stop_within_s=1))\n"
        "    while not supervisor.state()['a']['pid']:\n"
        "        await asyncio.sleep(0.01)\n"
        "    print(supervisor.state()['a']['pid'], flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)
