"""History once more: what the rhythm would have been worth."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from config.settings import Scheduler
from scheduler.rhythm import HOUR_MS, WEEK_MS, Rhythm, Usage, learn
from scheduler.states import Lane
from simulator.world.nodes import alike
from simulator.world.past import replay
from store.records import PastRequest

MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 24 * HOUR_MS
GIB = 2**30
SDXL, WAN = "checkpoints/sdxl.safetensors", "unet/wan.safetensors"
RULES = Scheduler(rhythm_share=0.2)


def request(at_ms: int, *, batch: bool = False, seconds: float = 20.0) -> PastRequest:
    """A picture that somebody waits for, or a video of the batch lane."""
    return PastRequest(
        submitted_ms=at_ms,
        user="farm" if batch else "ann",
        group="default",
        lane=Lane.BATCH if batch else Lane.INTERACTIVE,
        model=WAN if batch else SDXL,
        model_bytes=(14 if batch else 7) * GIB,
        load_seconds=40.0 if batch else 20.0,
        need_bytes=(18 if batch else 10) * GIB,
        run_seconds=seconds,
    )


def studio(week: int, days: int = 5) -> list[PastRequest]:
    """From nine to twelve people work; from seven on a video of 15 minutes comes every four."""
    rng = random.Random(week)
    made = []
    for day in range(days):
        begin = MONDAY + week * WEEK_MS + day * DAY_MS
        made += [request(begin + 9 * HOUR_MS + rng.randrange(3 * HOUR_MS)) for _ in range(420)]
        made += [
            request(begin + 7 * HOUR_MS + n * HOUR_MS // 15, batch=True, seconds=900)
            for n in range(60)
        ]
    return sorted(made, key=lambda one: one.submitted_ms)


def taught(requests: list[PastRequest], until_ms: int) -> Rhythm:
    usages = [
        Usage(
            at_ms=one.submitted_ms,
            model=one.model,
            requests=1,
            seconds=one.run_seconds if one.lane is Lane.INTERACTIVE else 0.0,
            bytes=one.model_bytes,
            load_seconds=one.load_seconds,
        )
        for one in requests
    ]
    return learn(usages, since_ms=MONDAY, until_ms=until_ms)


def test_people_wait_less_when_batch_is_held_before_the_hours_in_which_they_come() -> None:
    now = MONDAY + 3 * WEEK_MS
    rhythm = taught([one for week in range(3) for one in studio(week)], now)
    requests, nodes = studio(3, days=1), alike(3, 24 * GIB)
    told: list[int] = []
    off = replay(requests, nodes, 1, RULES, None, told.append)
    on = replay(requests, nodes, 1, RULES, rhythm)
    assert sum(told) == len(requests)
    assert on.interactive_wait_s < off.interactive_wait_s / 2
    assert off.failed == on.failed == 0
    assert (off, on) == (replay(requests, nodes, 1, RULES, None), on)


def test_a_table_of_an_empty_week_changes_nothing() -> None:
    requests, nodes = studio(3, days=1)[:60], alike(3, 24 * GIB)
    empty = learn([], since_ms=MONDAY, until_ms=MONDAY + 3 * WEEK_MS)
    assert replay(requests, nodes, 1, RULES, empty) == replay(requests, nodes, 1, RULES, None)


def test_jobs_of_which_nothing_is_known_run_too() -> None:
    unknown = PastRequest(
        submitted_ms=MONDAY,
        user="ann",
        group="",
        lane=Lane.BATCH,
        model="",
        model_bytes=0,
        load_seconds=0.0,
        need_bytes=0,
        run_seconds=3.0,
    )
    outcome = replay([unknown, unknown], alike(1, 24 * GIB), 1, RULES, None)
    assert (outcome.interactive_wait_s, outcome.batch_wait_s) == (0.0, 1.5)
