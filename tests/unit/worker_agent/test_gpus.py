from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.fleet import Vitals
from scheduler.states import GpuState, MemorySource
from worker_agent.gpus import (
    CONTEXT_BYTES,
    DeviceStats,
    ForeignWindow,
    GpuBook,
    Tenant,
    find_gpu,
    read_stats,
    told_id,
)
from worker_agent.nvml import GpuReading, GpuUnreadable

GIB = 2**30


def reading(used: int = 0, processes: dict[int, int] | None = None, index: int = 0) -> GpuReading:
    return GpuReading(
        uuid=f"GPU-{index}",
        index=index,
        name="Card",
        total_bytes=24 * GIB,
        used_bytes=used,
        processes=processes or {},
        utilisation=0.0,
    )


class ScriptedReader:
    def __init__(self, *readings: GpuReading) -> None:
        self.readings = list(readings)
        self.broken = False
        self.told = Vitals()
        self.computing_pids: frozenset[int] | None = frozenset()

    def devices(self) -> list[GpuReading]:
        if self.broken:
            raise GpuUnreadable("gone")
        return self.readings

    def vitals(self, uuid: str) -> Vitals:
        return self.told

    def computing(self, uuid: str) -> frozenset[int] | None:
        if self.broken:
            raise GpuUnreadable("gone")
        return self.computing_pids

    def close(self) -> None:
        self.broken = True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stats(**changes: Any) -> DeviceStats:
    fields: dict[str, Any] = {
        "name": "cuda:0 Card : native",
        "type": "cuda",
        "total_bytes": 24 * GIB,
        "free_bytes": 10 * GIB,
        "torch_bytes": 4 * GIB,
    }
    return DeviceStats(**(fields | changes))


def tenant(**changes: Any) -> Tenant:
    fields: dict[str, Any] = {"worker": "w", "gpu": "GPU-0", "pid": 100, "stats": None}
    return Tenant(**(fields | changes))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def book(
    reader: ScriptedReader | None, clock: Clock, sessions: dict[int, int] | None = None
) -> GpuBook:
    return GpuBook(reader, "host", 0.75, clock, lambda pid: (sessions or {}).get(pid))


def test_foreign_is_what_is_used_beyond_our_workers(clock: Clock) -> None:
    seen = book(ScriptedReader(reading(9 * GIB, {100: 5 * GIB, 7: 3 * GIB})), clock)
    seen.sample([tenant()])
    (gpu,) = seen.gpus
    assert gpu.foreign_bytes == 4 * GIB
    assert gpu.memory_source is MemorySource.NVML
    assert seen.used("w") == 5 * GIB


def test_helpers_of_a_worker_count_as_the_worker(clock: Clock) -> None:
    reader = ScriptedReader(reading(9 * GIB, {100: 5 * GIB, 101: 2 * GIB, 7: 2 * GIB}))
    seen = book(reader, clock, {101: 100, 7: 7})
    seen.sample([tenant()])
    assert seen.used("w") == 7 * GIB
    assert seen.gpus[0].foreign_bytes == 2 * GIB


def test_foreign_bytes_rise_at_once_and_fall_after_the_window(clock: Clock) -> None:
    reader = ScriptedReader(reading(1 * GIB))
    seen = book(reader, clock)

    def foreign_at(now: float, used: int) -> int:
        clock.now = now
        reader.readings = [reading(used)]
        seen.sample([])
        return seen.gpus[0].foreign_bytes

    assert foreign_at(0.0, 1 * GIB) == 1 * GIB
    assert foreign_at(0.1, 6 * GIB) == 6 * GIB
    assert foreign_at(0.5, 2 * GIB) == 6 * GIB
    assert foreign_at(0.85, 2 * GIB) == 6 * GIB
    assert foreign_at(0.9, 2 * GIB) == 2 * GIB


def test_the_window_keeps_the_highest_of_each_moment() -> None:
    window = ForeignWindow(1.0)
    assert [window.add(t, b) for t, b in [(0, 5), (0.4, 3), (0.8, 4), (1.2, 1), (1.9, 0)]] == [
        5,
        5,
        5,
        4,
        1,
    ]


def test_a_worker_whose_pid_is_hidden_counts_by_its_own_figures(clock: Clock) -> None:
    seen = book(ScriptedReader(reading(8 * GIB, {4242: 8 * GIB})), clock)
    seen.sample([tenant(stats=stats())])
    assert seen.used("w") == 4 * GIB + CONTEXT_BYTES
    assert seen.gpus[0].foreign_bytes == 4 * GIB - CONTEXT_BYTES


def test_peaks_are_the_highest_since_they_were_started(clock: Clock) -> None:
    reader = ScriptedReader(reading(9 * GIB, {100: 9 * GIB}))
    seen = book(reader, clock)
    seen.sample([tenant()])
    seen.start_peak("w")
    for used in (2, 6, 3):
        reader.readings = [reading(used * GIB, {100: used * GIB})]
        seen.sample([tenant()])
    assert seen.peak("w") == 6 * GIB
    assert seen.peak("nobody") == 0


def test_a_reader_that_fails_makes_its_gpus_suspect_until_it_works_again(clock: Clock) -> None:
    reader = ScriptedReader(reading(3 * GIB))
    seen = book(reader, clock)
    seen.sample([])
    reader.broken = True
    seen.sample([])
    assert [(gpu.state, gpu.used_bytes) for gpu in seen.gpus] == [(GpuState.SUSPECT, 3 * GIB)]
    reader.broken = False
    seen.sample([])
    assert seen.gpus[0].state is GpuState.READY


def test_a_gpu_elsewhere_is_known_by_its_workers_figures(clock: Clock) -> None:
    seen = book(None, clock)
    far = tenant(gpu=told_id("host", "w"), pid=None, stats=stats())
    seen.sample([far])
    (gpu,) = seen.gpus
    assert gpu.id == "host:w:0"
    assert gpu.memory_source is MemorySource.SYSTEM_STATS
    assert gpu.total_bytes == 24 * GIB
    assert gpu.used_bytes == 14 * GIB
    assert gpu.foreign_bytes == 14 * GIB - 4 * GIB - CONTEXT_BYTES


def test_without_gpus_there_is_nothing_to_report(clock: Clock) -> None:
    seen = book(None, clock)
    seen.sample([tenant(gpu="", stats=stats(type="cpu"))])
    assert seen.gpus == []
    assert seen.used("w") == 0


def test_system_stats_are_read_as_comfyui_writes_them() -> None:
    found = read_stats(
        {
            "devices": [
                {
                    "name": "cuda:0 Card",
                    "type": "cuda",
                    "index": 0,
                    "vram_total": 100,
                    "vram_free": 60,
                    "torch_vram_total": 30,
                    "torch_vram_free": 10,
                }
            ]
        }
    )
    # the worker counts its own unused cache as free; the device does not
    assert found == DeviceStats(
        name="cuda:0 Card", type="cuda", total_bytes=100, free_bytes=50, torch_bytes=30
    )
    assert read_stats({"devices": []}) is None


TWO = [reading(index=0), reading(index=1)]


@pytest.mark.parametrize(
    ("device", "readings", "index", "local", "expected"),
    [
        (stats(type="cpu"), TWO, 1, True, ""),
        (stats(), TWO, 1, True, "GPU-1"),
        (stats(), TWO, 7, True, None),
        (stats(), TWO, None, True, None),
        (stats(), TWO[:1], None, True, "GPU-0"),
        (stats(name="cuda:0 Other"), TWO[:1], None, True, "GPU-0"),
        (stats(), TWO[:1], None, False, None),
        (stats(), [], None, True, None),
    ],
)
def test_the_gpu_of_an_existing_worker_is_found(
    device: DeviceStats,
    readings: list[GpuReading],
    index: int | None,
    local: bool,
    expected: str | None,
) -> None:
    assert find_gpu(device, readings, index, local=local) == expected


def watched(
    clock: Clock, utilisation: float | None, computing: set[int] | None, **changes: Any
) -> bool:
    """Whether worker 100, which helper 101 works for, is seen to compute."""
    row = replace(reading(9 * GIB, {100: GIB, 101: GIB, 7: GIB}), utilisation=utilisation)
    reader = ScriptedReader(row)
    reader.computing_pids = None if computing is None else frozenset(computing)
    seen = book(reader, clock, {101: 100, 7: 7})
    seen.sample([tenant()])
    return seen.computes(tenant(**changes))


@pytest.mark.parametrize("computing", [{100}, {101, 7}])
def test_a_worker_whose_kernels_run_computes(clock: Clock, computing: set[int]) -> None:
    assert watched(clock, 0.5, computing)


@pytest.mark.parametrize("computing", [{7}, set()])
def test_a_neighbours_kernels_are_no_sign_of_its_life(clock: Clock, computing: set[int]) -> None:
    assert not watched(clock, 0.5, computing)


def test_nobody_is_asked_whose_kernels_run_on_an_idle_card(clock: Clock) -> None:
    assert not watched(clock, 0.0, {100})
    assert not watched(clock, None, {100})
    assert not watched(clock, 0.5, {100}, gpu="elsewhere")


def test_kernels_of_nobody_knows_whom_are_taken_for_its_own(clock: Clock) -> None:
    # the driver does not tell; the container hides pids; it is somebody else's process
    assert watched(clock, 0.5, None)
    assert watched(clock, 0.5, {7}, pid=555)
    assert watched(clock, 0.5, {7}, pid=None)


def test_a_card_that_cannot_be_read_stops_no_job(clock: Clock) -> None:
    reader = ScriptedReader(replace(reading(9 * GIB, {100: GIB}), utilisation=0.5))
    seen = book(reader, clock)
    seen.sample([tenant()])
    reader.broken = True
    assert seen.computes(tenant())


def test_a_host_without_cards_computes_nothing(clock: Clock) -> None:
    assert not book(None, clock).computes(tenant())


def test_memory_errors_make_a_gpu_suspect_and_say_what_to_do(clock: Clock) -> None:
    reader = ScriptedReader(reading(used=GIB))
    reader.told = Vitals(ecc_uncorrected=2, temperature_c=60)
    book = GpuBook(reader, "host", 1.0, clock)
    book.sample([])
    (found,) = book.gpus
    assert found.state is GpuState.SUSPECT
    assert found.vitals.trouble.startswith("2 memory errors")
    assert found.vitals.temperature_c == 60


def test_one_card_in_trouble_leaves_the_others_alone(clock: Clock) -> None:
    reader = ScriptedReader(replace(reading(), trouble="lost"), reading(index=1))
    book = GpuBook(reader, "host", 1.0, clock)
    book.sample([])
    assert [gpu.state for gpu in book.gpus] == [GpuState.SUSPECT, GpuState.READY]


def test_where_the_driver_hides_processes_it_is_said(clock: Clock) -> None:
    reader = ScriptedReader(reading(used=8 * GIB))
    book = GpuBook(reader, "host", 1.0, clock)
    book.sample([tenant(stats=stats())])
    (found,) = book.gpus
    assert not found.vitals.by_process
    assert found.foreign_bytes == 8 * GIB - stats().own_bytes
    reader.readings = [reading(used=8 * GIB, processes={100: 5 * GIB})]
    book.sample([tenant(stats=stats())])
    assert book.gpus[0].vitals.by_process


def test_vitals_are_read_once_a_second_and_memory_each_time(clock: Clock) -> None:
    reader = ScriptedReader(reading())
    book = GpuBook(reader, "host", 1.0, clock)
    for at, heat in ((0.0, 50), (0.5, 60), (1.0, 70)):
        clock.now, reader.told = at, Vitals(temperature_c=heat)
        book.sample([])
        assert book.gpus[0].vitals.temperature_c == (50 if at < 1 else 70)
