"""How often the GPUs are read."""

from __future__ import annotations

from scheduler.states import Gpu
from tests.factories import GIB, gpu
from worker_agent.pace import Pace

MIB = 2**20


def pauses(
    pace: Pace, *gpus: Gpu, watched: bool = False, busy: bool = False, times: int = 1
) -> list[float]:
    return [
        pace.next(gpus, watched=watched, busy=busy, fastest_s=0.1, slowest_s=1.0)
        for _ in range(times)
    ]


def test_at_rest_pauses_grow_to_the_longest() -> None:
    found = pauses(Pace(), gpu(), times=20)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.1, 1.0)


def test_while_only_readings_tell_what_a_job_takes_they_stay_short() -> None:
    assert set(pauses(Pace(), gpu(), watched=True, busy=True, times=20)) == {0.1}


def test_while_probes_tell_what_jobs_take_they_grow_a_little() -> None:
    assert pauses(Pace(), gpu(), busy=True, times=20)[-1] == 0.25


def test_memory_that_moves_makes_them_short_at_once() -> None:
    pace = Pace()
    pauses(pace, gpu(), times=20)
    assert pauses(pace, gpu(used_bytes=64 * MIB)) == [0.1]


def test_a_desktops_windows_are_no_movement_but_small_steps_add_up() -> None:
    pace = Pace()
    pauses(pace, gpu(), times=20)
    assert pauses(pace, gpu(used_bytes=10 * MIB)) == [1.0]
    assert pauses(pace, gpu(used_bytes=20 * MIB)) == [0.1]


def test_what_our_own_workers_take_for_their_jobs_is_no_movement_what_others_take_is() -> None:
    pace = Pace()
    pauses(pace, gpu(), busy=True, times=20)
    assert pauses(pace, gpu(used_bytes=8 * GIB), busy=True) == [0.25]
    taken = gpu(used_bytes=8 * GIB, foreign_bytes=64 * MIB)
    assert pauses(pace, taken, busy=True) == [0.1]


def test_beside_other_processes_jobs_may_wait_so_rest_is_shorter() -> None:
    assert pauses(Pace(), gpu(foreign_bytes=8 * GIB), times=20)[-1] == 0.25


def test_a_card_that_comes_or_goes_is_movement() -> None:
    pace = Pace()
    pauses(pace, gpu(), times=20)
    assert pauses(pace, gpu(), gpu("gpu-1")) == [0.1]
