"""A client that comes from another gateway waits until its past was shown here."""

from __future__ import annotations

import asyncio

import pytest

from gateway.past import Past, event_ms


async def is_shown(past: Past, user: str, event_id: str) -> bool:
    try:
        async with asyncio.timeout(0.01):
            await past.shown(user, event_id)
    except TimeoutError:
        return False
    return True


async def test_what_was_not_read_is_not_shown() -> None:
    past = Past()
    past.reached("9-5")
    assert await is_shown(past, "ann", "9-5")
    assert not await is_shown(past, "ann", "9-6")
    assert not await is_shown(past, "ann", "10-0")


async def test_what_was_read_but_waits_in_the_users_lane_is_not_shown() -> None:
    past = Past()
    past.reached("9-0")
    past.showing("ann", "7-0")
    assert not await is_shown(past, "ann", "9-0")
    assert await is_shown(past, "ann", "6-0")
    assert await is_shown(past, "bob", "9-0")
    past.all_shown("ann")
    assert await is_shown(past, "ann", "9-0")


async def test_who_waits_goes_on_as_soon_as_it_is_shown() -> None:
    past = Past()
    waiting = asyncio.create_task(past.shown("ann", "9-0"))
    for step in (lambda: past.showing("ann", "8-0"), lambda: past.reached("9-0")):
        step()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    past.all_shown("ann")
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(("event_id", "at"), [("1700-3", 1700), ("0-0", 0), ("5", 5)])
def test_an_events_id_says_when(event_id: str, at: int) -> None:
    assert event_ms(event_id) == at
