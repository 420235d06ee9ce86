from __future__ import annotations

import os
import types

from tests.comfy_stand_in.bench import DEVICE
from tests.comfy_stand_in.memory import Cuda
from worker_agent.probe.meter import Meter

CPU = types.SimpleNamespace(type="cpu")


def test_on_a_cpu_memory_is_what_the_process_has_resident() -> None:
    meter = Meter(CPU, None)
    reading = meter.read()
    assert 2**20 < reading.allocated < 2**40
    assert reading.allocated % os.sysconf("SC_PAGE_SIZE") == 0
    assert meter.device_free() is None


def test_on_a_cpu_a_sample_finds_the_peak_that_nobody_keeps() -> None:
    meter = Meter(CPU, None)
    meter.begin_prompt()
    block = b"x" * 50_000_000
    sampled = meter.sample().allocated
    del block
    assert meter.peaks()[0] >= sampled


def test_before_torch_has_allocated_anything_there_is_nothing() -> None:
    card = Cuda()
    card.memory_stats_as_nested_dict = lambda device: {}  # type: ignore[method-assign,assignment]
    assert Meter(DEVICE, types.SimpleNamespace(cuda=card)).read() == (0, 0, 0, 0)


def test_peaks_are_those_since_the_last_prompt_began() -> None:
    card = Cuda()
    meter = Meter(DEVICE, types.SimpleNamespace(cuda=card))
    card.take(500)
    card.give(400)
    meter.begin_prompt()
    assert meter.peaks() == (100, 500)
    card.take(50)
    card.give(50)
    meter.begin_node()
    assert meter.peaks() == (150, 500)


def test_who_asks_for_the_peak_changes_nothing() -> None:
    card = Cuda()
    meter = Meter(DEVICE, types.SimpleNamespace(cuda=card))
    meter.begin_prompt()
    card.take(70)
    card.give(70)
    meter.peaks()
    assert meter.read().peak_allocated == 70


def test_the_driver_tells_what_is_free() -> None:
    assert Meter(DEVICE, types.SimpleNamespace(cuda=Cuda())).device_free() == 10_000
