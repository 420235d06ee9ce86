"""Quiet hours fill the curves, and cost little."""

from __future__ import annotations

from bench.explore import course, table


def test_trials_show_what_formulas_could_only_guess_and_cost_little() -> None:
    without = course(daily=0, hours=48, workers=3, seed=0)
    tried = course(daily=2, hours=48, workers=3, seed=0)
    assert (without.trials, without.known) == (0, 0.0)
    # two a day of each of seven kinds, two days
    assert 14 <= tried.trials <= 28
    assert tried.known >= 0.45
    assert tried.error < without.error
    assert tried.quiet_seconds <= 1.05 * without.quiet_seconds
    assert tried.busy_seconds < without.busy_seconds


def test_the_table_has_a_line_for_each_course() -> None:
    row = {"trials": 3.0, "known": 0.5, "error": 0.1, "worst": 0.2}
    row |= {"quiet_seconds": 10.0, "busy_seconds": 5.0}
    assert len(table({"without": row, "with": row}).splitlines()) == 3
