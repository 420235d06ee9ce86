from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.gpu import FOREIGN_PID, SimulatedGpu
from simulator.launch import prepare_gpus
from simulator.nvml import FakeNvml
from simulator.spec import SimulationSpec
from worker_agent.nvml import GpuReader, GpuUnreadable

GIB = 2**30


def test_every_card_is_read_by_index(tmp_path: Path) -> None:
    directories = prepare_gpus(SimulationSpec(gpus=2), tmp_path)
    reader: GpuReader = FakeNvml(list(reversed(directories)))
    first, second = reader.devices()
    assert (first.index, second.index) == (0, 1)
    assert first.uuid != second.uuid
    assert (first.total_bytes, first.used_bytes, first.processes) == (24 * GIB, 0, {})


def test_bytes_are_told_by_pid_and_foreign_ones_apart(tmp_path: Path) -> None:
    (directory,) = prepare_gpus(SimulationSpec(), tmp_path)
    gpu = SimulatedGpu.open(directory)
    gpu.set_foreign(3 * GIB)
    with gpu.attach(GIB) as process:
        process.resize(GIB)
        process.compute(True)
        (reading,) = FakeNvml([directory]).devices()
    assert reading.used_bytes == 5 * GIB
    assert reading.processes == {os.getpid(): 2 * GIB, FOREIGN_PID: 3 * GIB}
    assert reading.utilisation == 1.0


def test_whose_kernels_run_is_told_by_pid_and_nobodys_do_while_it_is_frozen(
    tmp_path: Path,
) -> None:
    (directory,) = prepare_gpus(SimulationSpec(), tmp_path)
    gpu = SimulatedGpu.open(directory)
    reader = FakeNvml([directory])
    code = (
        "import sys, time; from pathlib import Path; from simulator.gpu import SimulatedGpu\n"
        "SimulatedGpu.open(Path(sys.argv[1])).attach(1).compute(True)\n"
        "print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            assert reader.computing(gpu.uuid) == {child.pid}
            assert reader.computing("elsewhere") == frozenset()
            child.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            assert reader.computing(gpu.uuid) == frozenset()
            assert reader.devices()[0].utilisation == 0.0
        finally:
            child.kill()


def test_a_card_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(GpuUnreadable, match="no simulated GPU in gpu7"):
        FakeNvml([tmp_path / "gpu7"]).devices()
