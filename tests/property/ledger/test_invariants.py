"""The books balance whatever happens, and the walk that says so notices planted faults."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.property.ledger.machine import LedgerMachine
from tests.property.ledger.worlds import MemoryWorld, RedisWorld, World, planted, shipped

#: faults by name: file, the text that is right, the text that is wrong
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
        "redis.call('ZADD', K.queue, place_of(job), job.id)",
        "redis.call('ZADD', K.queue, 1e6, job.id)",
    ),
    "lost charge": ("admit", "charge(K, job, ARGV[13], ARGV[14])", ""),
    "charge settled twice": (
        "_lib",
        "charge(K, job, user_cost - of_user, group_cost - of_group)",
        "charge(K, job, 2 * (user_cost - of_user), 2 * (group_cost - of_group))",
    ),
    "skipped lift": ("_lib", "  take_turn(K, job, lift)", "  take_turn(K, job, false)"),
    "lift on return": ("_lib", "enqueue(K, job, false)", "enqueue(K, job, true)"),
    "passed job not counted": ("admit", "redis.call('HINCRBY', KEYS[i], 'skips', 1)", ""),
    "held job admitted": ("admit", "if job.held then return {'CONFLICT'} end", ""),
}

#: the same in memory: module, right, wrong
MEMORY_MUTANTS = {
    "no fit check": ("plan", "if needed > grant.capacity_bytes:", "if False:"),
    "no epoch check": (
        "plan",
        "        if not self.is_leader(epoch):\n            return Refusal.STALE_LEADER\n",
        "",
    ),
    "no fence": (
        "agent",
        "        if job.attempt != attempt or job.state not in ACTIVE:\n"
        "            return Refusal.FENCED\n        # An attempt",
        "        if job.state not in ACTIVE:\n"
        "            return Refusal.FENCED\n        # An attempt",
    ),
    "double release": (
        "agent",
        "        if job.attempt != attempt or job.state not in ACTIVE:\n"
        "            return Refusal.FENCED\n        # An attempt",
        "        if job.attempt != attempt:\n            return Refusal.FENCED\n        # An attempt",
    ),
    "leaked reservation": (
        "base",
        "self.holds_of(job.gpu).reserved.pop(job.worker, None)",
        "pass",
    ),
    "two jobs on one worker": ("plan", "if found.job:", "if False:"),
    "claim without fence": (
        "agent",
        "if job.state is not JobState.RESERVED and not again:",
        "if False:",
    ),
    "lost place": (
        "base",
        "insert(user.queue, place(job), job.id)",
        "insert(user.queue, 10**6, job.id)",
    ),
    "lost charge": (
        "plan",
        "self.charge(user, job.group, grant.user_charge, grant.group_charge)",
        "pass",
    ),
    "charge settled twice": (
        "base",
        "self.charge(user, job.group, of_user - job.user_charge, of_group - job.group_charge)",
        "[self.charge(user, job.group, of_user - job.user_charge, 0) for _ in (1, 2)]",
    ),
    "skipped lift": ("base", "self.take_turn(user, lift=lift)", "self.take_turn(user, lift=False)"),
    "lift on return": (
        "base",
        "self.enqueue(again, lift=False)",
        "self.enqueue(again, lift=True)",
    ),
    "passed job not counted": ("plan", "record.skips += 1", "pass"),
    "held job admitted": ("plan", " or known.held:", ":"),
}


def walk(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
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


class InMemory(LedgerMachine):
    """Over the books in memory."""

    def new_world(self) -> World:
        return MemoryWorld()


@pytest.fixture
def on_redis(valkey_url: str) -> type[LedgerMachine]:
    class OnRedis(LedgerMachine):
        def new_world(self) -> World:
            return RedisWorld(f"{valkey_url}?db=7")

    return OnRedis


def test_the_books_on_a_server_balance_after_every_step(on_redis: type[LedgerMachine]) -> None:
    walk(on_redis, examples=6, steps=30)


def test_the_books_in_memory_balance_after_every_step() -> None:
    walk(InMemory, examples=40, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_books_on_a_server_balance_on_long_walks(on_redis: type[LedgerMachine]) -> None:
    walk(on_redis, examples=30, steps=80)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_books_in_memory_balance_on_long_walks() -> None:
    walk(InMemory, examples=300, steps=100)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MUTANTS)
def test_the_walk_notices_a_fault_in_the_scripts(valkey_url: str, name: str) -> None:
    script, right, wrong = MUTANTS[name]
    texts = shipped()
    assert right in texts[script], f"{script}.lua has changed: plant the fault anew"
    texts[script] = texts[script].replace(right, wrong)

    class Faulty(LedgerMachine):
        def new_world(self) -> World:
            return RedisWorld(f"{valkey_url}?db=7", texts)

    with pytest.raises(AssertionError):
        walk(Faulty, examples=100, steps=50)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MEMORY_MUTANTS)
def test_the_walk_notices_a_fault_in_the_books_in_memory(name: str) -> None:
    books = planted(*MEMORY_MUTANTS[name])

    class Faulty(LedgerMachine):
        def new_world(self) -> World:
            return MemoryWorld(books)

    with pytest.raises(AssertionError):
        walk(Faulty, examples=200, steps=50)
