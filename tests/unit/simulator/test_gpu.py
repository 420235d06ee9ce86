from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.gpu import FOREIGN_PID, GpuOutOfMemory, SimulatedGpu

GIB = 2**30


@pytest.fixture
def gpu(tmp_path: Path) -> SimulatedGpu:
    return SimulatedGpu.create(tmp_path / "gpu0", 0, 24 * GIB, "Simulated", "GPU-1")


def test_an_opened_card_is_the_created_one(gpu: SimulatedGpu) -> None:
    same = SimulatedGpu.open(gpu.directory)
    assert (same.index, same.total_bytes, same.name, same.uuid) == (
        0,
        24 * GIB,
        "Simulated",
        "GPU-1",
    )


def test_context_and_residents_add_up_and_closing_gives_them_back(gpu: SimulatedGpu) -> None:
    with gpu.attach(GIB) as first, gpu.attach(GIB) as second:
        first.resize(8 * GIB)
        second.resize(2 * GIB)
        assert gpu.read().used_bytes == 12 * GIB
        first.resize(0)
        assert gpu.read().used_bytes == 4 * GIB
    assert gpu.read().used_bytes == 0


def test_what_does_not_fit_is_refused_and_the_old_size_is_kept(gpu: SimulatedGpu) -> None:
    with gpu.attach(GIB) as process:
        process.resize(10 * GIB)
        with pytest.raises(GpuOutOfMemory) as refused:
            process.resize(24 * GIB)
        assert refused.value.free_bytes == 13 * GIB
        assert process.resident_bytes == 10 * GIB
        assert gpu.read().used_bytes == 11 * GIB


def test_foreign_bytes_count_but_belong_to_no_worker(gpu: SimulatedGpu) -> None:
    gpu.set_foreign(20 * GIB)
    with gpu.attach(GIB) as process, pytest.raises(GpuOutOfMemory):
        process.resize(4 * GIB)
    assert gpu.read().processes == {FOREIGN_PID: 20 * GIB}
    gpu.set_foreign(0)
    assert gpu.read().processes == {}


def test_shrinking_works_while_a_neighbour_overcommits(gpu: SimulatedGpu) -> None:
    with gpu.attach(GIB) as process:
        process.resize(10 * GIB)
        gpu.set_foreign(30 * GIB)
        process.resize(5 * GIB)
        assert gpu.read().processes[process._pid] == 6 * GIB
        assert gpu.read().free_bytes == 0


def test_utilisation_is_one_while_any_context_computes(gpu: SimulatedGpu) -> None:
    with gpu.attach(GIB) as first, gpu.attach(GIB) as second:
        first.compute(True)
        second.compute(True)
        assert (gpu.read().computing, gpu.read().utilisation) == (2, 1.0)
        first.compute(False)
        second.compute(False)
        assert gpu.read().utilisation == 0.0


def test_bytes_of_a_killed_process_vanish_by_themselves(gpu: SimulatedGpu) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from simulator.gpu import SimulatedGpu\n"
            "process = SimulatedGpu.open(pathlib.Path(sys.argv[1])).attach(2**30)\n"
            "process.resize(5 * 2**30); print('held', flush=True); sys.stdin.read()",
            str(gpu.directory),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert gpu.read().processes == {holder.pid: 6 * GIB}
    holder.kill()
    holder.communicate()
    assert gpu.read().used_bytes == 0


def test_a_recycled_pid_inherits_nothing(gpu: SimulatedGpu) -> None:
    with gpu.attach(GIB) as process:
        claim = process._file.read_text()
        process._file.write_text(claim.replace('"started": ', '"started": 1'))
        assert gpu.read().used_bytes == 0
