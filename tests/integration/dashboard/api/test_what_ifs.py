"""What would have been, from the question to the answer; only for admins."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cli.what_if import play_one
from dashboard.api.what_ifs import WhatIfs
from simulator.day.studio import settings
from store.engine import writing
from store.history_schema import what_ifs
from store.past import SqlPast
from store.users import SqlUsers
from store.what_ifs import SqlWhatIfs
from tests.day import DAY_MS, FROM_MS, UNTIL_MS, DayStore
from tests.day import day as day
from tests.day import day_file as day_file
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve

PATH = "/api/v1/contention/what-ifs"
GIB = 2**30
#: a rush of the day, to keep it short
RUSH = {"from_ms": UNTIL_MS - 4 * 3_600_000, "until_ms": UNTIL_MS}


class Stage:
    """The resource, a queue that a test works off by hand, and a clock."""

    def __init__(self, store: DayStore) -> None:
        self.store = store
        self.asked: list[str] = []
        self.away = False
        self.now_ms = UNTIL_MS
        self.resource = WhatIfs(
            SqlWhatIfs(store.engine),
            SqlPast(store.engine),
            SqlUsers(store.engine),
            settings,
            who,
            self._ask,
            lambda: f"q{len(self.asked)}",
            self.clock,
        )

    def clock(self) -> float:
        return self.now_ms / 1000

    async def _ask(self, id_: str) -> None:
        if self.away:
            raise OSError("away")
        self.asked.append(id_)

    async def play(self) -> None:
        for id_ in self.asked:
            await play_one(self.store.engine, id_, self.clock)


@pytest.fixture
def stage(day: DayStore) -> Stage:
    return Stage(day)


@pytest.fixture
async def ask(stage: Stage, serve: Serve) -> Ask:
    return await serve(stage.resource.routes())


async def post(ask: Ask, change: Any, status: int = 202, **span: int) -> Any:
    body = {**RUSH, **span, "change": change}
    return await ask(PATH, "olga", "admin", method="POST", json=body, status=status)


async def test_one_more_gpu_is_played_beside_what_was_and_what_the_model_makes_of_it(
    ask: Ask, stage: Stage
) -> None:
    asked = await post(ask, {"more_gpus": [{"like": "GPU-a0"}]})
    assert (asked["state"], asked["result"], stage.asked) == ("waiting", None, [asked["id"]])
    await stage.play()
    told = await ask(f"{PATH}/{asked['id']}", "olga", "admin")
    assert told["state"] == "done"
    result = told["result"]
    sides = [result[name]["all"] for name in ("recorded", "again", "changed")]
    assert {side["jobs"] for side in sides} == {result["jobs"]}
    recorded, again, changed = (side["mean_s"] for side in sides)
    # the model is near the truth, and the change is more than its error
    assert abs(again - recorded) < 0.5 * recorded
    assert changed < 0.8 * again
    waits = [
        job.admitted_ms - job.submitted_ms
        for job in stage.store.played.jobs.values()
        if job.submitted_ms >= RUSH["from_ms"]
    ]
    assert recorded == pytest.approx(sum(waits) / len(waits) / 1000, abs=0.001)
    assert result["recorded"]["users"].keys() == result["changed"]["users"].keys()
    (listed,) = (await ask(PATH, "olga", "admin"))["what_ifs"]
    assert (listed["state"], listed["result"]) == ("done", None)


async def test_a_cap_keeps_its_user_waiting(ask: Ask, stage: Stage) -> None:
    asked = await post(ask, {"users": {"ben": {"max_running": 1}}, "scheduler": {"aging": 600}})
    await stage.play()
    result = (await ask(f"{PATH}/{asked['id']}", "olga", "admin"))["result"]
    assert result["changed"]["users"]["ben"]["mean_s"] > result["again"]["users"]["ben"]["mean_s"]


async def test_what_cannot_be_played_says_why(ask: Ask, stage: Stage) -> None:
    none = await post(ask, {"vram": {"GPU-z9": 24 * GIB}})
    empty = await post(
        ask, {"workers_per_gpu": 1}, from_ms=FROM_MS - 2 * DAY_MS, until_ms=FROM_MS - DAY_MS
    )
    await stage.play()
    told = [await ask(f"{PATH}/{one['id']}", "olga", "admin") for one in (none, empty)]
    assert [one["state"] for one in told] == ["failed", "failed"]
    assert "no GPU GPU-z9" in told[0]["problem"]
    assert "nothing ran" in told[1]["problem"]


async def test_one_that_breaks_off_is_told_as_failed(ask: Ask, stage: Stage) -> None:
    asked = await post(ask, {"workers_per_gpu": 1})
    async with writing(stage.store.engine) as connection:
        broken = what_ifs.update().values(rules='{"scheduler": {"window": "wide"}}')
        await connection.execute(broken)
    with pytest.raises(ValidationError):
        await stage.play()
    told = await ask(f"{PATH}/{asked['id']}", "olga", "admin")
    assert (told["state"], "ValidationError" in told["problem"]) == ("failed", True)


async def test_choices_are_what_there_was(ask: Ask) -> None:
    told = await ask(f"{PATH}/choices?from={FROM_MS}&until={UNTIL_MS}", "olga", "admin")
    assert [(gpu["id"], gpu["total_bytes"] // GIB) for gpu in told["gpus"]] == [
        ("GPU-a0", 24), ("GPU-a1", 24), ("GPU-b0", 24), ("GPU-c0", 8),
    ]  # fmt: skip
    assert told["users"] == ["anna", "ben", "cleo", "dora", "emil", "finn"]
    assert told["groups"] == ["design", "film"]
    assert told["scheduler"]["preemption"] is False


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "changes nothing"),
        (None, "`change`"),
        ({"users": {"ann": {"colour": 1}}}, "colour"),
        ({"more_gpus": [{"like": "GPU-a0", "count": 0}]}, ">= 1"),
        ({"vram": {"GPU-a0": 5}}, "vram"),
        ({"scheduler": {"lease": 1}}, "lease"),
    ],
)
async def test_a_change_that_cannot_be_used_is_refused_by_its_place(
    ask: Ask, stage: Stage, change: Any, word: str
) -> None:
    told = await post(ask, change, status=400)
    assert word in told["error"]
    assert stage.asked == []


async def test_spans_are_checked(ask: Ask) -> None:
    for span in ({"from_ms": -1}, {"from_ms": True}, {"until_ms": 0}, {"from_ms": 0}):
        told = await post(ask, {"workers_per_gpu": 1}, status=400, **span)
        assert "from_ms" in told["error"]


@pytest.mark.parametrize("role", ["artist", "viewer"])
async def test_only_admins_ask_and_see(ask: Ask, stage: Stage, role: str) -> None:
    asked = await post(ask, {"workers_per_gpu": 1})
    for path in (PATH, f"{PATH}/choices", f"{PATH}/{asked['id']}"):
        await ask(path, "anna", role, status=403)
    body = {**RUSH, "change": {"workers_per_gpu": 1}}
    await ask(PATH, "anna", role, method="POST", json=body, status=403)
    assert len(stage.asked) == 1


async def test_a_queue_that_is_away_is_said_and_kept(ask: Ask, stage: Stage) -> None:
    stage.away = True
    told = await post(ask, {"workers_per_gpu": 1}, status=503)
    assert "jobs.redis_url" in told["error"]
    (listed,) = (await ask(PATH, "olga", "admin"))["what_ifs"]
    assert listed["state"] == "failed"


async def test_one_that_nobody_finished_is_lost(ask: Ask, stage: Stage) -> None:
    asked = await post(ask, {"workers_per_gpu": 1})
    stage.now_ms += 1_300_000
    assert (await ask(f"{PATH}/{asked['id']}", "olga", "admin"))["state"] == "lost"
    assert (await ask(f"{PATH}/nope", "olga", "admin", status=404))["error"]
