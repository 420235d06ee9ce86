"""Short histories of the whole system: every invariant holds after every step, whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.chaos.episode import Plan, run_episode
from simulator.chaos.faults import KINDS, UnknownFault, parse_kinds

#: virtual seconds of each history
_SECONDS = 240.0


@pytest.mark.parametrize("episode", range(4))
def test_invariants_hold_in_a_faulty_world(episode: int) -> None:
    outcome = run_episode(Plan(seed=2026, episode=episode, seconds=_SECONDS))

    assert outcome.violation is None, "\n".join(outcome.tail)
    assert outcome.counts["submitted"] > 5


def test_in_a_world_without_faults_every_job_runs_once() -> None:
    outcome = run_episode(Plan(seed=7, seconds=_SECONDS, kinds=(), exactly=True))

    assert outcome.violation is None, "\n".join(outcome.tail)
    assert outcome.counts["claimed"] == outcome.counts["admitted"]


def test_one_seed_is_one_history() -> None:
    plan = Plan(seed=3, episode=1, seconds=90.0, kinds=tuple(KINDS), exactly=True)

    first, second, other = (run_episode(each) for each in (plan, plan, replace(plan, seed=4)))

    assert first.digest == second.digest
    assert first.digest != other.digest


def test_an_unknown_fault_is_refused_by_name() -> None:
    with pytest.raises(UnknownFault, match="no fault 'crush'"):
        parse_kinds("crash,crush")
