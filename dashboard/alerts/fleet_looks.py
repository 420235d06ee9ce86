"""Rules about machines: GPUs, workers, agents (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from config.alert_rules import Rule
from dashboard.alerts.reading import Reading
from dashboard.alerts.scene import Scene
from scheduler.states import Gpu, GpuState, MemorySource, Worker, WorkerState

_GIB = 2**30


def headroom(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Measured free memory: what neither other processes nor any worker holds."""
    for gpu in scene.snapshot.gpus:
        if gpu.memory_source is MemorySource.NONE or not gpu.total_bytes:
            continue
        free = gpu.total_bytes - max(gpu.used_bytes, gpu.foreign_bytes + _used(scene, gpu))
        share = max(0, free) / gpu.total_bytes
        text = f"{max(0, free) / _GIB:.1f} of {gpu.total_bytes / _GIB:.1f} GiB are free"
        if gpu.foreign_bytes:
            text += f"; other processes hold {gpu.foreign_bytes / _GIB:.1f} GiB"
        yield _of_gpu(scene, gpu, share, text)


def temperature(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """As the driver tells it."""
    for gpu in scene.snapshot.gpus:
        degrees = gpu.vitals.temperature_c
        if degrees is None:
            continue
        text = f"{degrees} °C"
        if gpu.vitals.throttled:
            text += f"; its clocks are kept down: {', '.join(gpu.vitals.throttled)}"
        yield _of_gpu(scene, gpu, float(degrees), text)


def suspect(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Figures that cannot be believed: nothing new starts there."""
    for gpu in scene.snapshot.gpus:
        wrong = gpu.state is GpuState.SUSPECT
        why = f"{gpu.rival} claims it too" if gpu.rival else gpu.vitals.trouble
        text = f"its figures cannot be believed{': ' + why if why else ''}; no job starts there"
        yield _of_gpu(scene, gpu, float(wrong), text if wrong else "")


def worker(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Down without having been told to, or failing one job after the other."""
    for one in scene.snapshot.workers:
        failing = one.failures >= scene.quarantine_failures
        down = one.state is WorkerState.DOWN
        told = bool({one.id, one.agent} & scene.drained)
        text = ""
        if down:
            text = f"is down{': ' + one.detail if one.detail else ''}"
        elif failing:
            text = f"lost {one.failures} jobs in a row and takes none for a while"
        yield Reading(
            subject=f"worker:{one.id}",
            value=None if _silent(scene, one) else float((down or failing) and not told),
            detail={"text": text, "worker": one.id, "gpu": one.gpu, "agent": one.agent},
        )


def agent(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Time since the last word: its workers take no jobs, what runs there is queued again."""
    for one in scene.snapshot.agents:
        seconds = max(0, scene.now_ms - one.heartbeat_ms) / 1000
        workers = sum(other.agent == one.id for other in scene.snapshot.workers)
        yield Reading(
            subject=f"agent:{one.id}",
            value=seconds,
            detail={
                "text": f"silent for {seconds:.0f} s; {workers} workers are out of reach",
                "agent": one.id,
            },
        )


def _of_gpu(scene: Scene, gpu: Gpu, value: float, text: str) -> Reading:
    silent = scene.now_ms - gpu.heartbeat_ms > scene.silent_ms
    return Reading(
        subject=f"gpu:{gpu.id}",
        value=None if silent else value,
        detail={
            "text": text,
            "gpu": gpu.id,
            "agent": gpu.agent,
            "index": gpu.index,
            "name": gpu.name,
        },
    )


def _silent(scene: Scene, worker: Worker) -> bool:
    return scene.now_ms - worker.heartbeat_ms > scene.silent_ms


def _used(scene: Scene, gpu: Gpu) -> int:
    return sum(one.used_bytes for one in scene.snapshot.workers if one.gpu == gpu.id)
