from __future__ import annotations

import pytest

from simulator.world.faults import FaultSpec, draw_faults
from simulator.world.nodes import alike
from simulator.world.simple_machine import SimpleMachine


def test_a_spec_says_how_often_what_goes_wrong() -> None:
    assert FaultSpec.parse("lie=0.25, loss=4,foreign=10") == FaultSpec(0.25, 4.0, 10.0)
    assert FaultSpec.parse("") == FaultSpec()


@pytest.mark.parametrize("text", ["fire=1", "lie", "loss=-1", "lie=nan", "foreign=often"])
def test_what_is_no_fault_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"lie=0\.25,loss=4,foreign=10"):
        FaultSpec.parse(text)


def test_faults_come_in_order_about_as_often_as_asked_and_each_is_undone() -> None:
    nodes = alike(50, 2**35)
    machine = SimpleMachine(nodes, 1)
    faults = draw_faults(FaultSpec(loss=6, foreign=0), machine, nodes, horizon=36_000, seed=1)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    lost = [fault.lost_agent for fault in faults if fault.lost_agent]
    assert 30 <= len(lost) <= 90
    assert len(faults) == 2 * len(lost)


def test_a_host_that_is_down_is_not_lost_again_before_it_is_back() -> None:
    nodes = alike(1, 2**35)
    machine = SimpleMachine(nodes, 1)
    faults = draw_faults(FaultSpec(loss=600), machine, nodes, horizon=3600, seed=0)
    assert [bool(fault.lost_agent) for fault in faults] == [True, False] * (len(faults) // 2)


def test_without_a_spec_nothing_goes_wrong() -> None:
    nodes = alike(2, 2**35)
    assert draw_faults(FaultSpec(), SimpleMachine(nodes, 1), nodes, horizon=1e6, seed=0) == []
