from __future__ import annotations

import pytest

from simulator.world.metrics import Recorder, quantile


def served(recorder: Recorder, user: str, arrived: float, start: float, end: float) -> None:
    """One job from arrival to end, warm."""
    recorder.queued(arrived, user)
    recorder.unqueued(start, user)
    recorder.attempted(start, end, user, load_seconds=0.0, warm=True)
    recorder.done(end, wait=start - arrived, small=False)


def test_waits_are_told_by_mean_quantiles_and_maximum() -> None:
    recorder = Recorder()
    for wait in range(100):
        served(recorder, "ann", 0.0, float(wait), wait + 1.0)
    figures = recorder.figures(workers=1)
    assert figures.jobs == 100
    assert figures.mean_wait_s == pytest.approx(49.5)
    assert (figures.p50_wait_s, figures.p95_wait_s, figures.p99_wait_s) == (49.0, 94.0, 98.0)
    assert figures.max_wait_s == 99.0


def test_loading_counts_as_busy_time_and_as_load_share() -> None:
    recorder = Recorder()
    recorder.attempted(0.0, 40.0, "ann", load_seconds=10.0, warm=False)
    recorder.attempted(0.0, 60.0, "bob", load_seconds=0.0, warm=True)
    recorder.done(100.0, wait=0.0, small=True)
    figures = recorder.figures(workers=2)
    assert figures.load_share == pytest.approx(0.1)
    assert figures.warm_hit == 0.5
    assert figures.busy_share == pytest.approx(0.5)


def test_small_tenants_have_a_mean_of_their_own() -> None:
    recorder = Recorder()
    recorder.done(1.0, wait=2.0, small=True)
    recorder.done(1.0, wait=100.0, small=False)
    assert recorder.figures(1).small_tenant_wait_s == 2.0


def backlog(recorder: Recorder, user: str, since: float, until: float) -> None:
    """The user has something queued all that time."""
    recorder.queued(since, user)
    recorder.unqueued(until, user)


def test_jain_looks_at_users_who_wait_throughout_a_window() -> None:
    recorder = Recorder()
    for user in ("ann", "bob", "cem"):
        backlog(recorder, user, 0.0, 600.0 if user != "cem" else 599.0)
    for user, seconds in (("ann", 300.0), ("bob", 100.0), ("cem", 1.0)):
        recorder.attempted(0.0, seconds, user, load_seconds=0.0, warm=True)
    assert recorder.figures(1).jain == pytest.approx(400**2 / (2 * (300**2 + 100**2)))


def test_a_user_who_gets_nothing_in_a_window_counts_with_nothing() -> None:
    recorder = Recorder()
    backlog(recorder, "ann", 0.0, 600.0)
    backlog(recorder, "bob", 0.0, 600.0)
    recorder.attempted(0.0, 10.0, "ann", load_seconds=0.0, warm=True)
    assert recorder.figures(1).jain == pytest.approx(0.5)


def test_gpu_time_counts_in_the_window_in_which_it_was_spent() -> None:
    recorder = Recorder()
    for user in ("ann", "bob"):
        backlog(recorder, user, 0.0, 1200.0)
    recorder.attempted(0.0, 1200.0, "ann", load_seconds=0.0, warm=True)
    recorder.attempted(600.0, 1200.0, "bob", load_seconds=0.0, warm=True)
    # 1/2 in the first window, 1 in the second
    assert recorder.figures(1).jain == pytest.approx(0.75)


def test_a_user_whose_queue_was_empty_for_a_moment_was_not_backlogged() -> None:
    recorder = Recorder()
    backlog(recorder, "ann", 0.0, 600.0)
    backlog(recorder, "bob", 0.0, 300.0)
    backlog(recorder, "bob", 301.0, 700.0)
    recorder.attempted(0.0, 10.0, "ann", load_seconds=0.0, warm=True)
    assert recorder.figures(1).jain == 1.0


def test_a_run_without_jobs_has_figures() -> None:
    figures = Recorder().figures(4)
    assert (figures.jobs, figures.mean_wait_s, figures.jain) == (0, 0.0, 1.0)


def test_a_quantile_is_a_value_that_so_many_do_not_exceed() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([], 0.5) == 0.0
