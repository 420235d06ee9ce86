"""What a host has left, as the kernel tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_agent.host import HostBook

GIB = 2**30


class Kernel:
    """Folders that look like ``/proc`` and ``/sys/fs/cgroup``."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        self.now = 0.0
        self.write("proc/meminfo", f"MemTotal: {64 * 2**20} kB\nMemAvailable: {40 * 2**20} kB\n")
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        path = self.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def process(self, pid: int, rss_gib: int, children: tuple[int, ...] = ()) -> None:
        self.write(f"proc/{pid}/status", f"Name:\tpython\nVmRSS:\t{rss_gib * 2**20} kB\n")
        self.write(f"proc/{pid}/task/{pid}/children", " ".join(map(str, children)))

    def book(self) -> HostBook:
        return HostBook(lambda: self.now, self.proc, self.cgroups)

    def reading(self) -> tuple[float, float]:
        book = self.book()
        book.sample({})
        return book.reading.total_bytes / GIB, book.reading.available_bytes / GIB


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_without_a_limit_the_machine_counts(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "0::/user.slice\n")
    kernel.write("cgroup/user.slice/memory.max", "max\n")
    kernel.write("cgroup/user.slice/memory.current", str(30 * GIB))
    assert kernel.reading() == (64, 40)


def test_a_smaller_cgroup_counts_and_its_page_cache_is_free(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "0::/box/app\n")
    kernel.write("cgroup/box/memory.max", str(16 * GIB))
    kernel.write("cgroup/box/memory.current", str(10 * GIB))
    kernel.write("cgroup/box/memory.stat", f"anon 5\ninactive_file {3 * GIB}\nfile 7\n")
    kernel.write("cgroup/box/app/memory.max", "max")
    kernel.write("cgroup/box/app/memory.current", "1")
    assert kernel.reading() == (16, 9)


def test_the_old_interface_is_read_as_well(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "5:cpu,memory:/not/to/be/seen\n4:cpu:/x\n")
    kernel.write("cgroup/memory/memory.limit_in_bytes", str(8 * GIB))
    kernel.write("cgroup/memory/memory.usage_in_bytes", str(6 * GIB))
    kernel.write("cgroup/memory/memory.stat", f"total_inactive_file {GIB}")
    assert kernel.reading() == (8, 3)


def test_a_group_beyond_its_limit_leaves_nothing(kernel: Kernel) -> None:
    kernel.write("proc/self/cgroup", "0::/\n")
    kernel.write("cgroup/memory.max", str(8 * GIB))
    kernel.write("cgroup/memory.current", str(9 * GIB))
    assert kernel.reading() == (8, 0)


def test_a_system_without_proc_measures_nothing(tmp_path: Path) -> None:
    book = HostBook(lambda: 0.0, tmp_path / "none", tmp_path / "none")
    book.sample({"w": 5})
    assert book.reading.total_bytes == 0
    assert book.used("w") == 0


def test_a_worker_holds_what_its_whole_process_tree_holds(kernel: Kernel) -> None:
    kernel.process(10, 4, (11, 12))
    kernel.process(11, 2)
    kernel.process(12, 1, (13,))
    kernel.process(13, 1)
    kernel.process(20, 7)
    book = kernel.book()
    book.sample({"a": 10, "b": None, "gone": 99})
    assert [book.used(name) / GIB for name in ("a", "b", "gone")] == [8, 0, 0]


def test_it_is_read_once_a_second_unless_somebody_must_know_now(kernel: Kernel) -> None:
    kernel.process(10, 4)
    book = kernel.book()
    book.sample({"a": 10})
    kernel.process(10, 1)
    kernel.now = 0.5
    book.sample({"a": 10})
    assert book.used("a") == 4 * GIB
    book.sample({"a": 10}, now=True)
    assert book.used("a") == GIB


def test_this_very_machine_can_be_read() -> None:
    book = HostBook(lambda: 0.0)
    book.sample({"us": os.getpid()})
    assert 0 < book.reading.available_bytes <= book.reading.total_bytes
    assert book.used("us") > 2**20
