"""Profiles as a gateway has read them."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from gateway.learned import Learned
from scheduler.profile import Profile, add_bytes, to_json


class _Records:
    """A ledger whose profiles the test writes."""

    def __init__(self) -> None:
        self.by_kind: dict[str, bytes] = {}
        self.asked = 0

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        self.asked += 1
        return [self.by_kind.get(kind) for kind in fingerprints]

    def learn(self, kind: str, runs: int) -> None:
        profile = add_bytes(Profile(count=runs), 1.0 + runs / 1000, runs, 1.0)
        self.by_kind[kind] = to_json(profile).encode()


def _profiles_alive() -> int:
    gc.collect()
    return sum(1 for one in gc.get_objects() if type(one) is Profile)


class _Clock:
    """Seconds that pass when the test says so, or with each look."""

    def __init__(self, each_s: float = 0.0) -> None:
        self.now = 100.0
        self._each_s = each_s

    def __call__(self) -> float:
        self.now += self._each_s
        return self.now


async def test_each_kind_is_kept_once_however_often_it_changes() -> None:
    records = _Records()
    learned = Learned(records, _Clock(each_s=1.0))
    before = _profiles_alive()
    for run in range(1, 201):
        for kind in ("a", "b"):
            records.learn(kind, run)
        own, parent = await learned.of(["a", "b"])
        assert own is not None
        assert parent is not None
        assert (own.count, parent.count) == (run, run)
    del own, parent
    assert _profiles_alive() - before <= 2


async def test_thousands_of_kinds_do_not_stay_for_ever() -> None:
    records = _Records()
    learned = Learned(records)
    before = _profiles_alive()
    for number in range(1200):
        kind = f"kind {number}"
        records.learn(kind, 1)
        await learned.of([kind])
    assert _profiles_alive() - before < 1000


async def test_a_profile_that_has_not_changed_is_not_read_again() -> None:
    records = _Records()
    records.learn("a", 3)
    learned = Learned(records, _Clock(each_s=1.0))
    first, second = (await learned.of(["a"]))[0], (await learned.of(["a"]))[0]
    assert first is not None
    assert first is second


async def test_what_is_missing_or_no_profile_is_unknown() -> None:
    records = _Records()
    records.learn("a", 3)
    records.by_kind["broken"] = b"{"
    records.by_kind["of another version"] = b'{"v": 1}'
    found = await Learned(records).of(["nothing", "broken", "of another version", "a"])
    assert [None if one is None else one.count for one in found] == [None, None, None, 3]


async def test_a_burst_of_a_kind_that_has_run_often_asks_once_and_a_moment_later_again() -> None:
    records, clock = _Records(), _Clock()
    records.learn("a", 20)
    learned = Learned(records, clock)
    await learned.of(["a", "parent"])
    records.learn("a", 21)
    for _ in range(5):
        found = await learned.of(["a", "parent"])
        assert [None if one is None else one.count for one in found] == [20, None]
    assert records.asked == 1
    await learned.of(["a", "another"])
    assert records.asked == 2
    clock.now += 1.0
    (own,) = await learned.of(["a"])
    assert own is not None
    assert own.count == 21


async def test_what_a_new_kind_has_just_taught_is_known_at_once() -> None:
    records = _Records()
    learned = Learned(records, _Clock())
    for runs in range(1, 5):
        records.learn("a", runs)
        (own,) = await learned.of(["a"])
        assert own is not None
        assert own.count == runs
