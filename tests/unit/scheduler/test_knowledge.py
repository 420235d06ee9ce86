"""What the leader knows, as its plans are told."""

from __future__ import annotations

from datetime import UTC, datetime

from config.settings import Settings
from scheduler.decisions import Admit
from scheduler.knowledge import Knowledge
from scheduler.plan_config import PlanConfig
from scheduler.rhythm import HOUR_MS, WEEK_MS, Rhythm, Usage, learn
from scheduler.states import Lane, Snapshot
from tests.factories import grant
from tests.pools import gpu, job, snapshot, worker

MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
NOW = MONDAY + 4 * WEEK_MS
NINE = NOW + 9 * HOUR_MS
SDXL = "checkpoints/sdxl.safetensors"


def mornings() -> Rhythm:
    """Mondays at nine, ten and eleven, one worker is busy all the time."""
    usages = [
        Usage(
            at_ms=MONDAY + week * WEEK_MS + hour * HOUR_MS,
            model=SDXL,
            requests=360,
            seconds=3600,
            bytes=7,
            load_seconds=5.0,
        )
        for week in range(4)
        for hour in (9, 10, 11)
    ]
    return learn(usages, since_ms=MONDAY, until_ms=NOW)


def pool(now_ms: int) -> Snapshot:
    return snapshot([gpu()], [worker()], [], now_ms=now_ms)


def told(now_ms: int, *, knowledge: Knowledge | None = None, **rules: object) -> PlanConfig:
    one = knowledge or Knowledge()
    one.follow(mornings())
    settings = Settings.model_validate({"scheduler": {"rhythm_share": 0.5, **rules}})
    return one.config(settings, pool(now_ms))


def test_by_default_the_week_changes_nothing() -> None:
    config = told(NINE)
    assert config.demand == {}
    assert config.hold_until_ms == 0


def test_advice_changes_nothing_but_sees_the_peak() -> None:
    knowledge = Knowledge()
    config = told(NINE, knowledge=knowledge, rhythm="advise")
    assert config.demand == {}
    assert config.hold_until_ms == 0
    assert knowledge.peak is not None
    assert knowledge.peak.begin_ms == NINE


def test_turned_on_the_coming_hours_models_are_wanted_and_batch_waits() -> None:
    config = told(NINE, rhythm="on")
    assert config.demand[SDXL].rate > 0.05
    assert config.hold_until_ms > 0
    assert told(NINE + 3 * HOUR_MS, rhythm="on").hold_until_ms == 0


def test_batch_waits_from_the_lead_that_is_set() -> None:
    before = NINE - 20 * 60_000
    assert told(before, rhythm="on").hold_until_ms == 0
    assert told(before, rhythm="on", rhythm_lead="20m").hold_until_ms > 0


def test_old_batch_jobs_wait_for_a_peak_no_longer_than_jobs_age() -> None:
    minute = 60_000
    for at, held in ((-10, True), (9, True), (10, False)):
        config = told(NINE + at * minute, rhythm="on", rhythm_lead="10m", aging="20m")
        assert config.hold_until_ms > 0
        assert (NINE + at * minute < config.hold_old_until_ms) is held
    assert told(NINE, rhythm="on", rhythm_hold="2h").hold_ms == 7_200_000


def test_hours_are_those_of_the_zone_that_is_set() -> None:
    # the table's nine o'clock is Tokyo's, which is midnight in Greenwich
    assert told(NOW, rhythm="on", rhythm_zone="Asia/Tokyo").hold_until_ms > 0
    assert told(NOW, rhythm="on").hold_until_ms == 0


def test_interactive_work_keeps_a_peak_alive_and_batch_work_does_not() -> None:
    for lane, held in ((Lane.INTERACTIVE, True), (Lane.BATCH, False)):
        knowledge = Knowledge()
        one = job("a", models=(SDXL,), lane=lane)
        admit = Admit(one, worker(), grant(seconds=3600.0))
        knowledge.admitted(admit, NINE + HOUR_MS)
        config = told(NINE + HOUR_MS, knowledge=knowledge, rhythm="on")
        assert (config.hold_until_ms > 0) is held


def test_maintenance_closes_the_pool_until_its_time() -> None:
    until = datetime.fromtimestamp(NOW / 1000 + 60, UTC).isoformat()
    rules = {"enabled": True, "message": "new disks", "until": until}
    settings = Settings.model_validate({"maintenance": rules})
    closed = Knowledge().config(settings, pool(NOW)).closed
    assert closed.startswith("new disks until 20")
    assert Knowledge().config(settings, pool(NOW + 61_000)).closed == ""
    endless = Settings.model_validate({"maintenance": {"enabled": True}})
    assert Knowledge().config(endless, pool(NOW)).closed == "no end is known yet"
