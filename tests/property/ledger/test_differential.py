"""The Lua scripts and the books in memory keep the same books: call by call, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from scheduler.memory_books import Books
from scheduler.states import Snapshot
from tests.property.ledger.machine import LedgerMachine, users
from tests.property.ledger.test_invariants import walk
from tests.property.ledger.worlds import (
    MemoryWorld,
    RedisWorld,
    View,
    World,
    on_our_clock,
    planted,
    shipped,
)

#: what two plans look at in turn: the whole queue, and less than it
WINDOWS = (100, 2)


class DifferentialMachine(LedgerMachine):
    """Every call goes to both; one clock, one sequence of ids."""

    url: str
    books: type[Books] = Books

    def __init__(self) -> None:
        self.memory = MemoryWorld(self.books)
        super().__init__()

    def new_world(self) -> World:
        return RedisWorld(self.url, on_our_clock(shipped()))

    def do(self, call: str, *args: Any, **options: Any) -> Any:
        reply = self.world.do(call, *args, **options)
        same = self.memory.do(call, *args, **options)
        if call != "pool":  # tells the time of its caller
            assert same == reply, f"{call}: {same!r} in memory, {reply!r} on Redis"
        self.advance(1)
        return reply

    def advance(self, ms: int) -> None:
        self.world.advance(ms)
        self.memory.advance(ms)

    def teardown(self) -> None:
        self.memory.close()
        super().teardown()

    @rule(used=st.integers(0, 6), release=st.sampled_from(("host-1", "host-3")))
    def release(self, used: int, release: str) -> None:
        if self.do("release", self.epoch, release):
            self.do("released", release, used * 2**30)

    @rule(user=users, name=st.sampled_from(("a.png", "a_00001_.png", "noext")))
    def name_a_file(self, user: str, name: str) -> None:
        files = [("output", f"vg/{user}/sub", name), ("temp", f"vg/{user}", name)]
        ended = [job.id for job in self.now.jobs.values() if job.id in self.terminal]
        self.do("name_files", user, "host", "host-0", files, job_id=(ended or [""])[-1])
        assert len(self.do("files", user, "output")) <= 3

    @rule(user=users)
    def hide(self, user: str) -> None:
        self.do("hide", user, [job.id for job in self.do("ended", user)[::2]])

    @rule(fingerprint=st.sampled_from("abc"))
    def learn(self, fingerprint: str) -> None:
        for job_id in list(self.terminal)[-2:]:
            self.do("learn", self.epoch, job_id, {fingerprint: job_id.encode()})

    @invariant()
    def both_say_the_same(self) -> None:
        for user in ("ann", "bob", "cy", "mallory"):
            for call in ("unfinished", "ended", "remaining"):
                self.do(call, user)
        self.do("results", list(self.now.jobs))
        self.do("all_profiles")
        for window in (WINDOWS[0], WINDOWS[0], *WINDOWS):
            snapshots = [w.do("snapshot", window) for w in (self.world, self.memory)]
            assert _plain(snapshots[0]) == _plain(snapshots[1])
        views = [world.view() for world in (self.world, self.memory)]
        for name in View.__dataclass_fields__:
            assert getattr(views[0], name) == getattr(views[1], name), name


def _plain(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, active=dict(snapshot.active), groups=dict(snapshot.groups))


@pytest.fixture
def machine(valkey_url: str) -> type[DifferentialMachine]:
    class Machine(DifferentialMachine):
        url = f"{valkey_url}?db=8"

    return Machine


def test_both_ledgers_keep_the_same_books(machine: type[DifferentialMachine]) -> None:
    walk(machine, examples=5, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_ledgers_keep_the_same_books_on_long_walks(
    machine: type[DifferentialMachine],
) -> None:
    walk(machine, examples=40, steps=80)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_comparison_notices_a_charge_rounded_otherwise(
    machine: type[DifferentialMachine],
) -> None:
    machine.books = planted("base", "of_group = cost(", "of_group = 1 + cost(")
    with pytest.raises(AssertionError):
        walk(machine, examples=50, steps=40)
