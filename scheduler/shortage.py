"""Why no worker can take a job now, in words with figures (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.caps import gib
from scheduler.decisions import Wait
from scheduler.equipment import Equipment
from scheduler.placement import Room, Seat
from scheduler.plan_config import PlanConfig
from scheduler.quarantine import rests_until
from scheduler.states import Gpu, GpuState, Job, WaitReason, WorkerState


def nobody_free(
    job: Job, room: Room, equipment: Equipment, config: PlanConfig, now_ms: int
) -> Wait:
    """No idle worker is there for the job: none is up, all are busy, or they cannot be used."""
    lacking = equipment.lacking(job)
    if lacking is not None:
        return lacking
    up = room.up(needs_gpu=job.needs_gpu)
    usable = [seat for seat in up if equipment.offers(job, seat.worker)]
    if not usable:
        which = "with a GPU " if room.up(needs_gpu=False) else ""
        return Wait(job, WaitReason.NO_WORKER, f"no worker {which}is up; the admins see why")
    free = [seat for seat in usable if not seat.job and seat.state is WorkerState.READY]
    suspect = [card for card in room.cards.values() if card.gpu.state is GpuState.SUSPECT]
    if suspect and free and all(seat.card in suspect for seat in free):
        text = "; ".join(sorted(doubt(card.gpu) for card in suspect))
        return Wait(job, WaitReason.GPU_SUSPECT, text, suspect[0].gpu.id)
    if any(seat.state is WorkerState.RELEASING for seat in usable):
        return Wait(job, WaitReason.RELEASING, "idle workers are giving memory back")
    resting = [
        seat
        for seat in free
        if rests_until(seat.worker, config.quarantine_failures, config.quarantine_ms) > now_ms
    ]
    if resting and len(resting) == len(free):
        names = ", ".join(seat.worker.id for seat in resting)
        text = f"{names} failed several prompts in a row and rests for a while"
        return Wait(job, WaitReason.NO_WORKER, text, resting[0].worker.id)
    busy = sum(1 for seat in usable if seat.job)
    if busy == 0:
        return Wait(job, WaitReason.CAP, "no worker that the user may use is free")
    which = "all workers" if len(usable) == len(up) else "all workers that have its models"
    return Wait(job, WaitReason.NO_WORKER, f"{which} are busy ({busy} of {len(usable)})")


def doubt(gpu: Gpu) -> str:
    """Why a GPU's figures are not believed."""
    if gpu.rival:
        first, second = sorted((gpu.agent, gpu.rival))
        return f"{gpu.name} is driven by two agents, {first} and {second}: one has to stop"
    return f"{gpu.name}: {gpu.vitals.trouble or 'its memory cannot be read'}"


def shortage(job: Job, seats: Sequence[Seat], room: Room) -> Wait:
    """No idle worker has the bytes: what is needed, and the most that is free."""
    with_gpu = [seat for seat in seats if seat.card is not None]
    best = max(with_gpu, key=lambda seat: seat.headroom, default=None)
    if room.whole.wants(job):
        text = (
            f"needs {gib(job.need_bytes)}, more than any GPU can promise "
            f"({gib(room.whole.capacity(job))}): waits for the largest, all of it"
        )
        return Wait(job, WaitReason.NO_HEADROOM, text)
    free = max(0, best.headroom) if best is not None else 0
    blocker = best.card.gpu.id if best is not None and best.card is not None else ""
    text = f"needs {gib(job.need_bytes)}, {gib(free)} free"
    return Wait(job, WaitReason.NO_HEADROOM, text, blocker)
