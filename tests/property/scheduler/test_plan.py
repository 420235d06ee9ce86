"""Whatever the pool looks like, no plan over-commits it; planted mutants prove the check bites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler import placement
from scheduler.placement import Room, capacity_bytes
from scheduler.policy import Admit, Limits, Wait, plan
from scheduler.states import Snapshot, WorkerState
from tests.pools import GIB, NO_SAFETY, config, gpu, job, snapshot, worker


@st.composite
def pools(draw: st.DrawFn) -> Snapshot:
    """Pools whose present is within bounds, and jobs that mostly could run there."""
    gpus, workers = [], []
    for g in range(draw(st.integers(1, 3))):
        left = 24.0
        foreign = draw(st.sampled_from([0.0, 2.0, 8.0]))
        left -= foreign
        used = 0.0
        for w in range(draw(st.integers(1, 4))):
            hold = min(left, draw(st.sampled_from([0.0, 1.0, 4.0, 9.0])))
            left -= hold
            busy = hold > 0 and draw(st.booleans())
            resident = hold if not busy else hold * draw(st.sampled_from([0.2, 1.0]))
            used += resident
            workers.append(
                worker(
                    f"g{g}w{w}",
                    on=f"gpu{g}",
                    used=resident,
                    reserved=hold if busy else 0,
                    job=f"run-g{g}w{w}" if busy else "",
                    models=draw(st.sampled_from([(), ("checkpoints/a",), ("checkpoints/b",)])),
                    state=draw(st.sampled_from([WorkerState.READY] * 4 + [WorkerState.DOWN])),
                )
            )
        gpus.append(gpu(f"gpu{g}", used=used, foreign=foreign))
    jobs = [
        job(
            f"j{n}",
            draw(st.sampled_from(["ann", "bob", "cyd"])),
            need=draw(st.sampled_from([1.0, 3.0, 6.0, 10.0, 17.0, 30.0])),
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    return snapshot(gpus, workers, jobs)


def check(pool: Snapshot) -> None:
    """Commit the plan in thought and look at every GPU."""
    decisions = plan(pool, config(users={"bob": Limits(max_running=1)}))
    workers = {w.id: w for w in pool.workers}
    hold = {w.id: w.hold_bytes for w in pool.workers}
    taken: set[str] = set()
    for admit in (d for d in decisions if isinstance(d, Admit)):
        target = workers[admit.worker.id]
        assert not target.job
        assert target.state is WorkerState.READY
        assert target.id not in taken
        taken.add(target.id)
        others = sum(hold[w.id] for w in pool.workers if w.gpu == target.gpu and w.id != target.id)
        device = next(g for g in pool.gpus if g.id == target.gpu)
        assert admit.bytes + others <= capacity_bytes(device, NO_SAFETY)
        hold[target.id] = max(target.used_bytes, admit.bytes)
    assert sum(isinstance(d, Admit) and d.job.user == "bob" for d in decisions) <= 1
    queued = {j.id for b in pool.backlogs for j in b.jobs}
    told = [d.job.id for d in decisions if isinstance(d, Admit | Wait)]
    assert sorted(told) == sorted(queued)


@given(pools())
@settings(max_examples=400, deadline=None)
def test_no_plan_promises_more_than_there_is_and_every_job_is_answered(pool: Snapshot) -> None:
    check(pool)


def _residency_ignored(room: Room, worker_):
    others = [w for w in room.on(worker_.gpu) if w.id != worker_.id]
    return room.capacity(worker_.gpu) - sum(w.reserved_bytes for w in others)


def _reservations_ignored(room: Room, worker_):
    others = [w for w in room.on(worker_.gpu) if w.id != worker_.id]
    return room.capacity(worker_.gpu) - sum(w.used_bytes for w in others)


def _no_fit_check(room: Room, worker_):
    return 1000 * GIB


def _admissions_forgotten(room: Room, job_, offer):
    return None


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("headroom", _residency_ignored),
        ("headroom", _reservations_ignored),
        ("headroom", _no_fit_check),
        ("take", _admissions_forgotten),
    ],
)
def test_a_planted_mutant_is_killed(
    name: str, mutant: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement.Room, name, mutant)

    @given(pools())
    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[*settings.default.phases][:3],
    )
    def hunt(pool: Snapshot) -> None:
        check(pool)

    with pytest.raises(AssertionError):
        hunt()
