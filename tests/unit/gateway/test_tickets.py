from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Role, User
from gateway.context import Credential, Identity
from gateway.keys import KeyKind, KeyRing
from gateway.tickets import SEEN_S, TICKET_S, Tickets, may_be_ticket
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger

NAMES = ("ann", "bob", "cem")
RING = KeyRing([User(name=name, url_key=f"url-of-{name}-1") for name in NAMES], {})
IDS = ("a-random-looking-id-1", "a-random-looking-id-2")
ADDRESSES = ("10.0.0.1", "10.0.0.2")


class Clock:
    """Seconds that pass when a test says so, for the gateway and for the ledger."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def ms(self) -> int:
        return int(self.now * 1000)


def identity(user: str, ring: KeyRing = RING) -> Identity:
    holder = ring.holder(user, KeyKind.URL)
    assert holder is not None
    return Identity(user, "default", Role.ARTIST, Credential.URL, holder.stamp)


def gateways(clock: Clock, count: int = 2) -> list[Tickets]:
    """Several gateways of one ledger."""
    calls = itertools.count()
    books = Books(clock.ms, lambda: str(next(calls)))
    return [Tickets(MemoryLedger(books), clock) for _ in range(count)]


#: gateways tell a note again after a minute only: it may end so much earlier
SURE_S = TICKET_S - 61
steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(ADDRESSES),
        st.sampled_from(IDS),
        st.sampled_from(NAMES),
        st.sampled_from([0.0, 30.0, 61.0, 2 * TICKET_S]),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_happens_a_ticket_is_its_first_users_or_nobodys(
    steps: list[tuple[int, str, str, str, float]],
) -> None:
    clock = Clock()
    tickets = gateways(clock)
    first: dict[tuple[str, str], tuple[str, float]] = {}

    async def run() -> None:
        for at, address, client_id, user, pause in steps:
            clock.now += pause
            place = (address, client_id)
            owner, since = first.get(place, (user, clock.now))
            if SURE_S < clock.now - since <= TICKET_S:
                clock.now += TICKET_S
            if clock.now - since > TICKET_S:
                owner = user
            mine = await tickets[at].bind(address, client_id, identity(user))
            assert owner == user or not mine
            first[place] = (owner, clock.now)
            for one, (name, last) in first.items():
                holder = await tickets[1 - at].holder(*one, RING)
                assert holder is None or (holder.user == name and clock.now - last <= TICKET_S)

    asyncio.run(run())


async def test_a_second_user_voids_it_for_everybody_new() -> None:
    one, two = gateways(Clock())
    place = (ADDRESSES[0], IDS[0])
    assert await one.bind(*place, identity("ann"))
    assert not await two.bind(*place, identity("bob"))
    for gateway in (one, two):
        assert await gateway.holder(*place, RING) is None
        assert await gateway.is_void(*place)
    await one.used(*place, "ann", identity("ann").key)
    assert await two.is_void(*place), "an open socket does not make it good again"
    assert await two.holder(ADDRESSES[1], IDS[0], RING) is None


async def test_it_is_good_for_as_long_as_its_key_and_a_new_key_renews_it() -> None:
    (one,) = gateways(Clock(), 1)
    place = (ADDRESSES[0], IDS[0])
    await one.bind(*place, identity("ann"))
    rotated = KeyRing([User(name="ann", url_key="another-url-1")], {})
    assert await one.holder(*place, rotated) is None
    assert await one.bind(*place, identity("ann", rotated))
    holder = await one.holder(*place, rotated)
    assert holder is not None
    assert holder.user == "ann"


async def test_an_address_is_open_for_a_while_after_each_key_shown_there() -> None:
    clock = Clock()
    one, two = gateways(clock)
    assert not await two.is_seen(ADDRESSES[0])
    await one.seen(ADDRESSES[0])
    clock.now += SEEN_S - 1
    await one.seen(ADDRESSES[0])
    clock.now += SEEN_S - 1
    assert await two.is_seen(ADDRESSES[0])
    assert not await two.is_seen(ADDRESSES[1])
    clock.now += 2
    assert not await two.is_seen(ADDRESSES[0])


@pytest.mark.parametrize(
    ("client_id", "good"),
    [
        ("a558b45a-2c8e-4700-9e11-6c999a35b05e", True),
        ("a558b45a2c8e47009e116c999a35b05e", True),
        ("V1StGXR8_Z5jdHi6B-myT", True),
        ("comfyui-photoshop-plugin", False),
        ("123456789012345", False),
        ("krita", False),
        ("", False),
    ],
)
def test_only_ids_that_look_random_are_tickets(client_id: str, good: bool) -> None:
    assert may_be_ticket(client_id) is good
