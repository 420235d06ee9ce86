"""The pool as it is now: GPUs, workers, hosts, jobs. The same at every gateway (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import Metric

from dashboard.metrics.families import gauge, single
from dashboard.sample import Held
from scheduler.placement import Safety, capacity_bytes
from scheduler.states import Gpu, Job, Lane, Snapshot, WaitReason, Worker, WorkerState

#: label value of jobs that no plan has looked at yet
UNEXPLAINED: Final = "unexplained"
#: label value of jobs that wait behind others of their own user
BEHIND_OWN: Final = "behind_own"
_STATES: Final = ("queued", "held", "reserved", "running", "cancelling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is told of one moment."""

    pool: str
    snapshot: Snapshot
    #: jobs that no plan sees
    held: Sequence[Held]
    #: an agent silent for longer tells nothing any more
    silent_ms: int
    safety: Safety
    #: users that may be labels; others are not told apart
    users: frozenset[str] = frozenset()


def families(moment: Moment) -> list[Metric]:
    """Everything of the pool."""
    return [*_gpus(moment), *_workers(moment), *_hosts(moment), *_jobs(moment), *_people(moment)]


def _gpus(moment: Moment) -> list[Metric]:
    all_ = moment.snapshot.gpus
    gpus = [gpu for gpu in all_ if _heard(moment, gpu.heartbeat_ms)]
    names = ("pool", "gpu", "host")

    def of(gpu: Gpu) -> tuple[str, str, str]:
        return (moment.pool, gpu.id, gpu.agent)

    def each(name: str, help_: str, value: str) -> Metric:
        figures = ((of(gpu), getattr(gpu.vitals, value)) for gpu in gpus)
        return gauge(name, help_, names, figures)

    return [
        gauge(
            "gpu_up",
            "1: the GPU's agent reports, and its figures can be believed.",
            names,
            ((of(gpu), gpu in gpus and gpu.state.value == "READY") for gpu in all_),
        ),
        gauge(
            "gpu_info",
            "What GPU it is.",
            (*names, "name", "memory_source"),
            (((*of(gpu), gpu.name, gpu.memory_source.value), 1) for gpu in all_),
        ),
        gauge(
            "gpu_memory_size_bytes",
            "Device memory of the GPU.",
            names,
            ((of(gpu), gpu.total_bytes) for gpu in all_),
        ),
        gauge(
            "gpu_memory_bytes",
            "Device memory by who holds it: foreign (other processes), resident (idle workers), "
            "reserved (workers with a job: promised or used, whichever is more), free.",
            (*names, "kind"),
            (figure for gpu in gpus for figure in _memory(moment, gpu, of(gpu))),
        ),
        gauge(
            "gpu_headroom_bytes",
            "Device memory that a further job could be promised, without releasing anything.",
            names,
            ((of(gpu), _headroom(moment, gpu)) for gpu in gpus),
        ),
        each(
            "gpu_utilization_ratio",
            "Share of the time in which a kernel ran, 0 to 1.",
            "utilisation",
        ),
        each("gpu_temperature_celsius", "Temperature of the GPU.", "temperature_c"),
        gauge(
            "gpu_power_watts",
            "What the GPU draws.",
            names,
            ((of(gpu), _scaled(gpu.vitals.power_mw, 1e-3)) for gpu in gpus),
        ),
        gauge(
            "gpu_clock_hertz",
            "Clock of the streaming multiprocessors.",
            names,
            ((of(gpu), _scaled(gpu.vitals.clock_mhz, 1e6)) for gpu in gpus),
        ),
        gauge(
            "gpu_throttled",
            "1: something keeps the GPU's clocks down.",
            names,
            ((of(gpu), bool(gpu.vitals.throttled)) for gpu in gpus),
        ),
        each(
            "gpu_ecc_uncorrected",
            "Memory errors that were not corrected, since the driver was loaded.",
            "ecc_uncorrected",
        ),
    ]


def _memory(
    moment: Moment, gpu: Gpu, labels: tuple[str, str, str]
) -> Iterable[tuple[tuple[str, ...], int]]:
    on = _on(moment, gpu)
    resident = sum(worker.used_bytes for worker in on if not worker.job)
    reserved = sum(worker.hold_bytes for worker in on if worker.job)
    # promises and use may add up to more than there is
    free = max(0, gpu.total_bytes - gpu.foreign_bytes - resident - reserved)
    parts = {
        "foreign": gpu.foreign_bytes,
        "resident": resident,
        "reserved": reserved,
        "free": free,
    }
    return (((*labels, kind), value) for kind, value in parts.items())


def _headroom(moment: Moment, gpu: Gpu) -> int:
    holds = sum(worker.hold_bytes for worker in _on(moment, gpu))
    return max(0, capacity_bytes(gpu, moment.safety) - holds)


def _on(moment: Moment, gpu: Gpu) -> list[Worker]:
    return [worker for worker in moment.snapshot.workers if worker.gpu == gpu.id]


def _workers(moment: Moment) -> list[Metric]:
    places = {(worker.gpu, worker.agent): Counter[str]() for worker in moment.snapshot.workers}
    for worker in moment.snapshot.workers:
        places[worker.gpu, worker.agent][_state(moment, worker)] += 1
    return [
        gauge(
            "workers",
            "Workers by what they do: busy, idle, releasing, down.",
            ("pool", "gpu", "host", "state"),
            (
                ((moment.pool, *place, state), counts[state])
                for place, counts in places.items()
                for state in ("busy", "idle", "releasing", "down")
            ),
        ),
        single(
            "workers_failing",
            "Workers whose last jobs were lost or hung.",
            moment.pool,
            sum(worker.failures > 0 for worker in moment.snapshot.workers),
        ),
    ]


def _state(moment: Moment, worker: Worker) -> str:
    if worker.state is WorkerState.DOWN or not _heard(moment, worker.heartbeat_ms):
        return "down"
    if worker.job:
        return "busy"
    return "releasing" if worker.state is WorkerState.RELEASING else "idle"


def _hosts(moment: Moment) -> list[Metric]:
    agents = moment.snapshot.agents
    return [
        gauge(
            "agent_up",
            "1: the host's agent reports.",
            ("pool", "host"),
            (((moment.pool, one.id), _heard(moment, one.heartbeat_ms)) for one in agents),
        ),
        gauge(
            "host_memory_bytes",
            "Main memory of the host, as far as its agent may use it: size, available.",
            ("pool", "host", "kind"),
            (
                ((moment.pool, one.id, kind), value)
                for one in agents
                if one.host_total_bytes and _heard(moment, one.heartbeat_ms)
                for kind, value in (
                    ("size", one.host_total_bytes),
                    ("available", one.host_available_bytes),
                )
            ),
        ),
    ]


def _jobs(moment: Moment) -> list[Metric]:
    snapshot = moment.snapshot
    counts = Counter(job.state.value.lower() for job in snapshot.active.values())
    counts["held"] = sum(one.count for one in moment.held)
    counts["queued"] = sum(backlog.queued for backlog in snapshot.backlogs)
    waiting = [job for backlog in snapshot.backlogs for job in backlog.jobs]
    reasons = Counter(job.wait_reason.value if job.wait_reason else UNEXPLAINED for job in waiting)
    reasons[BEHIND_OWN] = max(0, counts["queued"] - len(waiting))
    reasons[WaitReason.HELD.value] += counts["held"]
    return [
        gauge(
            "jobs",
            "Unfinished jobs by state; held ones are not among the queued.",
            ("pool", "state"),
            (((moment.pool, state), counts[state]) for state in _STATES),
        ),
        gauge(
            "jobs_waiting",
            "Jobs that wait, by what keeps them waiting.",
            ("pool", "reason"),
            (
                ((moment.pool, reason), reasons[reason])
                for reason in (*WaitReason, BEHIND_OWN, UNEXPLAINED)
            ),
        ),
        gauge(
            "queue_oldest_seconds",
            "How long the oldest job of the lane that may start has waited.",
            ("pool", "lane"),
            (((moment.pool, lane), _oldest_s(waiting, lane, snapshot.now_ms)) for lane in Lane),
        ),
        single(
            "queue_forecast_seconds",
            "In how long the last of the jobs that wait now should have started (9 of 10 times).",
            moment.pool,
            _forecast_s(waiting, snapshot.now_ms),
        ),
        single(
            "queue_users",
            "Users with a job that waits.",
            moment.pool,
            sum(backlog.queued > 0 for backlog in snapshot.backlogs),
        ),
    ]


def _people(moment: Moment) -> list[Metric]:
    groups: Counter[tuple[str, str]] = Counter()
    users: Counter[tuple[str, str]] = Counter()
    for backlog in moment.snapshot.backlogs:
        for state, count in (("queued", backlog.queued), ("running", backlog.running)):
            groups[backlog.group, state] += count
            users[backlog.user, state] += count
    return [
        gauge(
            "group_jobs",
            "Jobs by group: queued, running.",
            ("pool", "group", "state"),
            (((moment.pool, *key), count) for key, count in sorted(groups.items())),
        ),
        gauge(
            "user_jobs",
            "Jobs by user: queued, running. With metrics.users only.",
            ("pool", "user", "state"),
            (
                ((moment.pool, user, state), users[user, state])
                for user in sorted(moment.users)
                for state in ("queued", "running")
            ),
        ),
    ]


def _heard(moment: Moment, heartbeat_ms: int) -> bool:
    return moment.snapshot.now_ms - heartbeat_ms <= moment.silent_ms


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _oldest_s(jobs: Iterable[Job], lane: Lane, now_ms: int) -> float:
    since = min((job.submitted_ms for job in jobs if job.lane is lane), default=now_ms)
    return max(0, now_ms - since) / 1000


def _forecast_s(jobs: Iterable[Job], now_ms: int) -> float:
    last = max((job.start_p90_ms for job in jobs), default=0)
    return max(0, last - now_ms) / 1000
