from __future__ import annotations

from worker_agent.overrun import Overrun, Remedy

GIB = 2**30


def test_a_worker_within_its_limit_is_left_alone() -> None:
    overrun = Overrun("host-0")
    assert overrun.look(0, 4 * GIB, 4 * GIB, idle=True) is None
    assert overrun.look(9, 4 * GIB + 2**20, 4 * GIB, idle=True) is None


def test_one_without_a_limit_may_hold_what_it_likes() -> None:
    overrun = Overrun("host-0")
    assert overrun.look(0, 40 * GIB, 0, idle=True) is None
    assert overrun.look(9, 40 * GIB, 0, idle=True) is None


def test_one_that_is_over_is_trimmed_when_idle_and_started_anew_if_that_was_not_enough() -> None:
    overrun = Overrun("host-0")
    assert overrun.look(0, 5 * GIB, 4 * GIB, idle=False) is None
    assert overrun.look(1, 5 * GIB, 4 * GIB, idle=True) is Remedy.TRIM
    assert overrun.look(2, 5 * GIB, 4 * GIB, idle=True) is None
    assert overrun.look(6, 5 * GIB, 4 * GIB, idle=True) is Remedy.RESTART


def test_patience_starts_anew_with_the_next_prompt() -> None:
    overrun = Overrun("host-0")
    overrun.look(0, 5 * GIB, 4 * GIB, idle=True)
    overrun.look(4, 5 * GIB, 4 * GIB, idle=False)
    assert overrun.look(6, 5 * GIB, 4 * GIB, idle=True) is Remedy.TRIM
    assert overrun.look(7, 4 * GIB, 4 * GIB, idle=True) is None
    assert overrun.look(9, 5 * GIB, 4 * GIB, idle=True) is Remedy.TRIM
