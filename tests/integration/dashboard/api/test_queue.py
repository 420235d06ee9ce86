"""The whole queue, as everybody may see it."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from dashboard.api.queue import QueueList
from dashboard.sampler import Sampler
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Lane, WaitReason
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve

PATH = "/api/v1/queue"


@pytest.fixture
async def ask(ledger: RedisLedger, serve: Serve) -> Ask:
    # a clock that stands still would take one sample for ever
    ticks = iter(range(1_000_000))
    return await serve(QueueList(Sampler(ledger, Settings, lambda: next(ticks)), who).routes())


@pytest.fixture
async def jobs(floor: Any) -> dict[str, Any]:
    """One of bob runs; two of ann and one of bob wait, one of ann is held."""
    made = {"runs": await floor.submit("bob")}
    await floor.start(made["runs"])
    for name, user, lane in (
        ("ann-1", "ann", Lane.INTERACTIVE),
        ("ann-2", "ann", Lane.BATCH),
        ("bob-1", "bob", Lane.INTERACTIVE),
        ("held", "ann", Lane.INTERACTIVE),
    ):
        made[name] = await floor.submit(user, lane=lane)
    await floor.ledger.hold("ann", made["held"].id, held=True)
    blocker = made["runs"].id
    await floor.explain(made["ann-1"], WaitReason.NO_HEADROOM, "needs 4 GiB", "gpu-0")
    await floor.explain(made["ann-2"], WaitReason.HELD_FOR_HEAD, "room is kept", blocker)
    return made


async def test_an_admin_sees_all_jobs_with_their_places_and_what_is_in_their_way(
    ask: Ask, jobs: dict[str, Any]
) -> None:
    told = await ask(PATH, "root", "admin")
    by_id = {one["id"]: one for one in told["jobs"]}
    assert set(by_id) == {job.id for job in jobs.values()}
    assert told["jobs"][0]["id"] == jobs["runs"].id
    assert (told["waiting"], told["running"], told["matching"]) == (4, 1, 5)
    places = {name: by_id[job.id]["place"] for name, job in jobs.items()}
    assert places["runs"] is None
    assert places["held"] is None
    assert sorted(places[name] for name in ("ann-1", "ann-2", "bob-1")) == [1, 2, 3]
    assert by_id[jobs["ann-2"].id]["own_place"] == 2
    assert by_id[jobs["ann-1"].id]["blocker"] == {
        "kind": "gpu",
        "id": "gpu-0",
        "name": "host GPU 0",
    }
    assert by_id[jobs["ann-2"].id]["blocker"]["kind"] == "job"
    assert {one["name"] for one in told["users"]} == {"ann", "bob"}


async def test_an_artist_sees_own_jobs_among_counts_of_all(ask: Ask, jobs: dict[str, Any]) -> None:
    told = await ask(PATH, "ann")
    assert {one["user"] for one in told["jobs"]} == {"ann"}
    assert (told["waiting"], told["running"], told["matching"]) == (4, 1, 3)
    # bob's job is in the way: that something is, but not what
    behind = next(one for one in told["jobs"] if one["id"] == jobs["ann-2"].id)
    assert behind["blocker"] is None
    assert jobs["runs"].id not in str(told)
    refused = await ask(f"{PATH}?user=bob", "ann", status=403)
    assert "admins" in refused["error"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ("state=running", {"runs"}),
        ("state=held", {"held"}),
        ("state=waiting&user=ann", {"ann-1", "ann-2"}),
        ("lane=batch", {"ann-2"}),
        ("reason=no_headroom", {"ann-1"}),
        ("reason=held", {"held"}),
        ("user=bob", {"runs", "bob-1"}),
    ],
)
async def test_filters_leave_what_they_say(
    ask: Ask, jobs: dict[str, Any], filters: str, names: set[str]
) -> None:
    told = await ask(f"{PATH}?{filters}", "root", "admin")
    assert {one["id"] for one in told["jobs"]} == {jobs[name].id for name in names}
    assert told["matching"] == len(names)


async def test_it_comes_in_pages_and_wrong_words_are_refused(
    ask: Ask, jobs: dict[str, Any]
) -> None:
    first = await ask(f"{PATH}?rows=2", "root", "admin")
    rest = await ask(f"{PATH}?rows=1000&start=2", "root", "admin")
    assert len(first["jobs"]) == 2
    assert len({one["id"] for one in first["jobs"] + rest["jobs"]}) == len(jobs)
    for wrong in ("state=asleep", "sort=name", "rows=0"):
        await ask(f"{PATH}?{wrong}", "root", "admin", status=400)
