"""Advice is kept, ends with its evidence, and stays dismissed until it is far stronger."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.advice.chores import EVERY_MS, is_due
from store.advice import ADMINS, FoundAdvice, SqlAdvice, Turn
from store.forgetting import NOBODY, forget_user

NOW_MS = 1_700_000_000_000
FOUND = FoundAdvice(
    id="a1", kind="repeats", gain=100.0, gain_low=60.0, gain_high=150.0, users=("ann",),
    body={"title": "one", "users": ["ann"], "jobs": []},
)  # fmt: skip
OTHER = replace(FOUND, id="a2", gain=50.0, users=("bob", "cat"), body={"users": ["bob", "cat"]})


async def test_everybody_gets_their_own_and_admins_all_in_order(engine: AsyncEngine) -> None:
    kept = SqlAdvice(engine)
    await kept.replace([FOUND, OTHER], NOW_MS)
    assert [one.id for one in await kept.all(ADMINS)] == ["a1", "a2"]
    assert [one.id for one in await kept.all("ann")] == ["a1"]
    assert [one.id for one in await kept.all("cat")] == ["a2"]
    assert await kept.all("dan") == []
    assert await kept.one("a1", "bob") is None
    assert (await kept.turn()).done_ms == NOW_MS


async def test_advice_ends_with_its_evidence_and_begins_anew_with_new(engine: AsyncEngine) -> None:
    kept = SqlAdvice(engine)
    for at_ms in (NOW_MS, NOW_MS + 5):
        await kept.replace([FOUND], at_ms)
    (still,) = await kept.all("ann")
    assert (still.since_ms, still.found_ms, still.ended_ms) == (NOW_MS, NOW_MS + 5, None)
    await kept.replace([], NOW_MS + 10)
    assert await kept.all("ann") == []
    (ended,) = await kept.all("ann", ended_after_ms=NOW_MS)
    assert ended.ended_ms == NOW_MS + 10
    await kept.replace([FOUND], NOW_MS + 20)
    (again,) = await kept.all("ann")
    assert (again.since_ms, again.ended_ms) == (NOW_MS + 20, None)


async def test_a_dismissal_lasts_until_the_low_end_exceeds_what_was_expected_then(
    engine: AsyncEngine,
) -> None:
    kept = SqlAdvice(engine)
    await kept.replace([FOUND], NOW_MS)
    (found,) = await kept.all("ann")
    await kept.dismiss(found, "ann", "ann", "I know", NOW_MS)
    for stronger in (FOUND, replace(FOUND, gain=300.0, gain_low=99.0)):
        await kept.replace([], NOW_MS + 1)
        await kept.replace([stronger], NOW_MS + 2)
        (found,) = await kept.all("ann")
        assert found.dismissed
    assert found.dismissal is not None
    assert found.dismissal.why == "I know"
    (admins,) = await kept.all(ADMINS)
    assert not admins.dismissed  # it is the artist's own dismissal
    await kept.replace([replace(FOUND, gain=300.0, gain_low=101.0)], NOW_MS + 3)
    (found,) = await kept.all("ann")
    assert not found.dismissed


async def test_a_dismissal_is_taken_back_once(engine: AsyncEngine) -> None:
    kept = SqlAdvice(engine)
    await kept.replace([FOUND], NOW_MS)
    (found,) = await kept.all(ADMINS)
    await kept.dismiss(found, ADMINS, "ada", "fine so", NOW_MS)
    assert await kept.recall("a1", ADMINS)
    assert not await kept.recall("a1", ADMINS)
    (found,) = await kept.all(ADMINS)
    assert found.dismissal is None


async def test_advice_that_names_a_forgotten_user_is_gone(engine: AsyncEngine) -> None:
    kept = SqlAdvice(engine)
    about_bob = replace(FOUND, id="a3", users=(), body={"users": [], "jobs": [{"user": "bob"}]})
    await kept.replace([FOUND, OTHER, about_bob], NOW_MS)
    (found, *_) = await kept.all(ADMINS)
    await kept.dismiss(found, ADMINS, "bob", "", NOW_MS)
    await forget_user(engine, "bob")
    (left,) = await kept.all(ADMINS)
    assert left.id == "a1"
    assert left.dismissal is not None
    assert left.dismissal.by_user == NOBODY


def test_advice_is_due_on_a_schedule_and_after_it_was_asked_for() -> None:
    assert is_due(Turn(None, None), NOW_MS)
    assert not is_due(Turn(None, NOW_MS), NOW_MS + EVERY_MS - 1)
    assert is_due(Turn(None, NOW_MS), NOW_MS + EVERY_MS)
    assert is_due(Turn(NOW_MS + 1, NOW_MS), NOW_MS + 2)
    assert not is_due(Turn(NOW_MS - 1, NOW_MS), NOW_MS + 2)
