"""A recorded time once more, with something changed: what it would have made of the waits.

Three figures stand beside one another: what was recorded, the same jobs played again with nothing
changed, and with the change. The difference of the first two is the model's error; only the
difference of the last two is the change's. What is played: each job at its time, with its need,
its measured run time and its models' load time; the GPUs and workers that there were; what other
programs held of them; hosts that were away; the limits and numbers that were in force when it
was asked. What is not: slower runs beside others or in less memory, jobs that were cancelled in
the queue, models that were loaded at the start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from msgspec import UNSET, to_builtins

from config.settings import Group, Settings, User
from simulator.world.draft import Draft
from simulator.world.faults import Fault
from simulator.world.metrics import quantile
from simulator.world.nodes import Node
from simulator.world.past import draft_of
from simulator.world.policies import PRODUCTION, policies
from simulator.world.run import ever_heard
from simulator.world.simple_machine import CONTEXT_BYTES, SimpleMachine
from simulator.world.world import World
from store.change import Change, Limit
from store.past import Away, Foreign, PlayedGpu, PlayedJob
from store.records import PastRequest

HOUR_MS: Final = 3_600_000
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A time as the store has it."""

    #: oldest first, at least one
    jobs: Sequence[PlayedJob]
    gpus: Sequence[PlayedGpu]
    foreign: Sequence[Foreign]
    away: Sequence[Away] = ()


class CannotChange(Exception):
    """The change names something that there was not; the message says what."""


def answer(recorded: Recorded, rules: Mapping[str, Any], change: Change) -> Json:
    """All three sides, JSON-ready.

    Args:
        recorded: what was.
        rules: limits and numbers in force, a part of the settings.
        change: what would be otherwise.

    Raises:
        CannotChange: the change names a GPU that there was not.
        WorldError: some jobs never end on these GPUs.
    """
    settings = _settings(rules)
    waits = [(job, job.wait_ms / 1000) for job in recorded.jobs]
    return {
        "jobs": len(recorded.jobs),
        "gpus": [to_json(gpu) for gpu in recorded.gpus],
        "recorded": side(waits, failed=0),
        "again": _play(recorded, recorded.gpus, settings),
        "changed": _play(
            recorded, _hardware(recorded.gpus, change), _changed(settings, recorded.jobs, change)
        ),
    }


def to_json(gpu: PlayedGpu) -> Json:
    """What is said of a GPU."""
    return {"id": gpu.id, "total_bytes": gpu.total_bytes, "workers": gpu.workers}


# ── what is played ───────────────────────────────────────────────────────────


def _play(recorded: Recorded, gpus: Sequence[PlayedGpu], settings: Settings) -> Json:
    first_ms = recorded.jobs[0].submitted_ms
    most = max(_promise(gpu, settings) for gpu in gpus)
    machine = SimpleMachine([_node(gpu) for gpu in gpus], workers_per_gpu=1)
    jobs = {f"j{number:08}": job for number, job in enumerate(recorded.jobs)}
    waits: list[tuple[PlayedJob, float]] = []

    def served(draft: Draft, wait: float) -> None:
        waits.append((jobs[draft.job.id], wait))

    world = World(
        drafts=[
            draft_of(number, _request(job), first_ms, most)
            for number, job in enumerate(recorded.jobs)
        ],
        machine=machine,
        policy=policies()[PRODUCTION](),
        settings=settings,
        faults=_faults(recorded, machine, {gpu.id for gpu in gpus}),
        served=served,
        epoch_ms=first_ms,
    )
    world.run()
    figures = world.recorder.figures(sum(gpu.workers for gpu in gpus))
    return side(waits, failed=figures.failed) | {
        "warm_hit": figures.warm_hit,
        "load_share": figures.load_share,
        "busy_share": figures.busy_share,
    }


def _node(gpu: PlayedGpu) -> Node:
    return Node(
        id=_host(gpu.id),
        model="recorded",
        gpus=(gpu.id,),
        vram_bytes=gpu.total_bytes,
        workers=gpu.workers,
    )


def _promise(gpu: PlayedGpu, settings: Settings) -> int:
    """What one worker can be promised while the others hold no more than their context."""
    rules = settings.admission
    safety = max(rules.safety_min, int(rules.safety_share * gpu.total_bytes))
    return gpu.total_bytes - safety - (gpu.workers - 1) * CONTEXT_BYTES


def _request(job: PlayedJob) -> PastRequest:
    return PastRequest(
        submitted_ms=job.submitted_ms,
        user=job.user,
        group=job.group,
        lane=job.lane,
        model=job.model,
        model_bytes=job.model_bytes,
        load_seconds=job.load_seconds,
        need_bytes=job.need_bytes,
        run_seconds=max(0.01, job.run_seconds),
    )


def _host(gpu: str) -> str:
    # a host for each GPU: what was known of them is by GPU
    return f"host of {gpu}"


def _faults(recorded: Recorded, machine: SimpleMachine, known: set[str]) -> list[Fault]:
    first_ms = recorded.jobs[0].submitted_ms

    def after(at_ms: int) -> float:
        return max(0.0, (at_ms - first_ms) / 1000)

    faults = [
        Fault(after(one.at_ms), "", partial(machine.occupy, one.gpu, one.bytes))
        for one in recorded.foreign
        if one.gpu in known
    ]
    for away in recorded.away:
        host = _host(away.gpu)
        if away.gpu in known and away.until_ms > first_ms:
            lost = Fault(after(away.from_ms), host, partial(machine.lose, host))
            faults += [lost, Fault(after(away.until_ms), "", partial(machine.recover, host))]
    return sorted(faults, key=lambda fault: fault.at)


# ── what is changed ──────────────────────────────────────────────────────────


def _settings(rules: Mapping[str, Any]) -> Settings:
    told = Settings.model_validate(dict(rules))
    heartbeat = ever_heard().scheduler.heartbeat
    return told.model_copy(
        update={"scheduler": told.scheduler.model_copy(update={"heartbeat": heartbeat})}
    )


def _hardware(gpus: Sequence[PlayedGpu], change: Change) -> list[PlayedGpu]:
    known = {gpu.id: gpu for gpu in gpus}
    for name in (*change.vram, *(more.like for more in change.more_gpus)):
        if name not in known:
            raise CannotChange(f"there was no GPU {name} then; there were {', '.join(known)}")
    found = [
        replace(gpu, total_bytes=change.vram.get(gpu.id, gpu.total_bytes)) for gpu in known.values()
    ]
    for more in change.more_gpus:
        like = known[more.like]
        found += [replace(like, id=f"{like.id}+{n}") for n in range(1, more.count + 1)]
    if change.workers_per_gpu is not None:
        found = [replace(gpu, workers=change.workers_per_gpu) for gpu in found]
    return found


def _changed(settings: Settings, jobs: Sequence[PlayedJob], change: Change) -> Settings:
    users = {user.name: user for user in settings.users}
    groups = {group.name: group for group in settings.groups}
    team = {job.user: job.group for job in jobs}
    for name, limit in change.users.items():
        user = users.get(name) or User(name=name, group=team.get(name, "default"))
        users[name] = user.model_copy(update=_told(limit))
    for name, limit in change.groups.items():
        group = groups.get(name) or Group(name=name)
        groups[name] = group.model_copy(update=_told(limit))
    return settings.model_copy(
        update={
            "users": tuple(users.values()),
            "groups": tuple(groups.values()),
            "scheduler": settings.scheduler.model_copy(update=to_builtins(change.scheduler)),
        }
    )


def _told(limit: Limit) -> Json:
    return {
        name: value
        for name in ("max_running", "weight", "vram_share")
        if (value := getattr(limit, name)) is not UNSET
    }


# ── what came of it ──────────────────────────────────────────────────────────


def side(waits: Sequence[tuple[PlayedJob, float]], *, failed: int) -> Json:
    """Waits of all, by user, group, lane and hour of their sending."""
    return {
        "all": figures_of(wait for _, wait in waits),
        "failed": failed,
        "users": _by(waits, lambda job: job.user),
        "groups": _by(waits, lambda job: job.group),
        "lanes": _by(waits, lambda job: job.lane.value),
        "hours": _by(waits, lambda job: str(job.submitted_ms - job.submitted_ms % HOUR_MS)),
    }


def _by(waits: Iterable[tuple[PlayedJob, float]], name: Any) -> dict[str, Json]:
    parts: dict[str, list[float]] = defaultdict(list)
    for job, wait in waits:
        parts[name(job)].append(wait)
    return {key: figures_of(parts[key]) for key in sorted(parts)}


def figures_of(waits: Iterable[float]) -> Json:
    """Seconds: mean, p50, p95 and the longest; how many jobs."""
    ordered = sorted(waits)
    return {
        "jobs": len(ordered),
        "mean_s": round(sum(ordered) / len(ordered), 3) if ordered else 0.0,
        "p50_s": round(quantile(ordered, 0.5), 3),
        "p95_s": round(quantile(ordered, 0.95), 3),
        "longest_s": round(ordered[-1], 3) if ordered else 0.0,
    }
