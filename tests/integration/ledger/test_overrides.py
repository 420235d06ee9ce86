"""Admin edits and shared secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scheduler.ledger import EventKind, Ledger
from tests.integration.ledger.conftest import Connect, Dump


async def test_overrides_start_empty_at_revision_zero(ledger: Ledger) -> None:
    assert await ledger.overrides() == (0, {})


async def test_edits_are_set_cleared_and_counted(ledger: Ledger) -> None:
    assert await ledger.override({"groups.fx.weight": "2.5", "users.ann": '{"ä": 1}'}) == 1
    assert await ledger.overrides() == (
        1,
        {"groups.fx.weight": "2.5", "users.ann": '{"ä": 1}'},
    )
    assert await ledger.override({"users.ann": None, "nothing": None, "empty": ""}) == 2
    assert await ledger.overrides() == (2, {"groups.fx.weight": "2.5", "empty": ""})


async def test_every_edit_is_an_event(ledger: Ledger) -> None:
    await ledger.override({"a": "1"})
    (event,) = await ledger.events("0-0", 0)
    assert event.kind is EventKind.OVERRIDES


async def test_racing_edits_all_count(ledger: Ledger) -> None:
    revisions = await asyncio.gather(*(ledger.override({f"k{n}": "1"}) for n in range(50)))
    assert sorted(revisions) == list(range(1, 51))
    assert len((await ledger.overrides())[1]) == 50


async def test_the_same_call_repeated_after_a_lost_answer_answers_the_same(
    connect: Connect,
) -> None:
    ledger = connect(new_call=lambda: "one-call")
    assert await ledger.override({"a": "1"}) == await ledger.override({"a": "1"}) == 1
    assert len(await ledger.events("0-0", 0)) == 1
    await ledger.close()


async def test_a_secret_is_made_once(ledger: Ledger, dump: Callable[[], Dump]) -> None:
    made = await asyncio.gather(*(ledger.secret("cookie", f"s{n}") for n in range(20)))
    assert len(set(made)) == 1
    assert await ledger.secret("cookie", "late") == made[0]
    assert await ledger.secret("other", "o") == "o"


async def test_an_edit_of_what_somebody_else_has_changed_meanwhile_is_none(ledger: Ledger) -> None:
    assert await ledger.override_at(0, {"a": "1"}) == 1
    assert await ledger.override_at(0, {"a": "2"}) is None
    assert await ledger.overrides() == (1, {"a": "1"})
    assert await ledger.override_at(1, {"a": "2"}) == 2


async def test_of_edits_that_have_seen_the_same_one_counts(ledger: Ledger) -> None:
    done = await asyncio.gather(*(ledger.override_at(0, {"a": str(n)}) for n in range(20)))
    assert sorted(one for one in done if one is not None) == [1]
