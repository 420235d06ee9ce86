"""The books balance whatever happens, and the walk that says so notices planted faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from scheduler.redis_connection import load_scripts
from tests.property.ledger.machine import LedgerMachine

#: faults by name: script, the text that is right, the text that is wrong
MUTANTS = {
    "no fit check": ("admit", "if sum > capacity then return {'NO_FIT'} end", ""),
    "no epoch check": (
        "admit",
        "if not is_leader(leader, ARGV[1]) then return {'STALE_LEADER'} end",
        "",
    ),
    "no fence": (
        "settle",
        "if job.attempt ~= attempt or not is_active(job.state) then",
        "if not is_active(job.state) then",
    ),
    "double release": (
        "settle",
        "if job.attempt ~= attempt or not is_active(job.state) then",
        "if job.attempt ~= attempt then",
    ),
    "leaked reservation": ("_lib", "redis.call('HDEL', K.holds, 'r:' .. job.worker)", ""),
    "two jobs on one worker": ("admit", "if worker.job then return {'CONFLICT'} end", ""),
    "claim without fence": (
        "claim",
        "if job.state ~= 'RESERVED' and not again then return {'FENCED'} end",
        "",
    ),
    "lost place": (
        "_lib",
        "redis.call('ZADD', K.queue, job.number, job.id)",
        "redis.call('ZADD', K.queue, 1e6, job.id)",
    ),
}


@pytest.fixture
def machine(valkey_url: str) -> Iterator[type[LedgerMachine]]:
    class Machine(LedgerMachine):
        url = f"{valkey_url}?db=7"

    yield Machine
    with redis.Redis.from_url(Machine.url) as client:
        client.flushdb()


def walk(machine: type[LedgerMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_books_balance_after_every_step(machine: type[LedgerMachine]) -> None:
    walk(machine, examples=8, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_books_balance_on_long_walks(machine: type[LedgerMachine]) -> None:
    walk(machine, examples=30, steps=80)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MUTANTS)
def test_the_walk_notices_a_planted_fault(machine: type[LedgerMachine], name: str) -> None:
    script, right, wrong = MUTANTS[name]
    texts = load_scripts()
    assert right in texts[script], f"{script}.lua has changed: plant the fault anew"
    machine.scripts = texts | {script: texts[script].replace(right, wrong)}
    with pytest.raises(AssertionError):
        walk(machine, examples=100, steps=50)
