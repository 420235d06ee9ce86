"""The table of the week: what it learns, forgets, expects, and how it is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.rhythm import (
    HOUR_MS,
    HOURS,
    MEMORY_MS,
    WEEK_MS,
    Peak,
    Rhythm,
    Usage,
    from_json,
    hour_of_week,
    learn,
)

MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
SDXL = "checkpoints/sdxl.safetensors"


def at(day: int, hour: float, week: int = 0) -> int:
    """Milliseconds: day 0 is a Monday."""
    return MONDAY + week * WEEK_MS + int((day * 24 + hour) * HOUR_MS)


def weekly(
    weeks: int, day: int, hour: float, *, requests: float = 60, seconds: float = 1800
) -> list[Usage]:
    """The same hour of each week."""
    return [
        Usage(at_ms=at(day, hour, week), model=SDXL, requests=requests, seconds=seconds)
        for week in range(weeks)
    ]


def taught(usages: list[Usage], weeks: int, zone: ZoneInfo | None = None) -> Rhythm:
    """Learned from whole weeks."""
    return learn(usages, since_ms=MONDAY, until_ms=at(0, 0, weeks), zone=zone or UTC)


def test_a_busy_hour_of_each_week_is_expected_again() -> None:
    rhythm = taught(weekly(6, 1, 9), 6)
    week = rhythm.week_of(SDXL)
    assert week.index(max(week)) == 24 + 9
    # two thirds of it stay in its hour, a sixth goes to each neighbour
    assert week[24 + 8] == pytest.approx(week[24 + 10], rel=1e-2)
    assert week[24 + 8] > 3 * week[24 + 12]
    assert rhythm.expected(SDXL, at(1, 9, 6)) == pytest.approx(week[24 + 9])
    assert rhythm.expected(SDXL, at(1, 9.5, 6)) == pytest.approx((week[24 + 9] + week[24 + 10]) / 2)


def test_an_even_week_is_expected_as_it_was_whatever_its_age() -> None:
    even = [Usage(at_ms=at(0, h), model=SDXL, requests=7, seconds=0) for h in range(3 * HOURS)]
    rhythm = taught(even, 3)
    assert rhythm.week_of(SDXL) == pytest.approx((7 / 3600,) * HOURS, rel=1e-3)


def test_hours_that_were_never_watched_are_expected_as_the_mean() -> None:
    usages = [Usage(at_ms=at(0, h), model=SDXL, requests=10, seconds=0) for h in range(2 * HOURS)]
    rhythm = learn(usages[:-24], since_ms=MONDAY, until_ms=at(6, 0, 1))
    assert rhythm.week_of(SDXL)[6 * 24 + 12] == pytest.approx(10 / 3600, rel=1e-2)


def test_one_evening_is_not_taken_for_every_evening() -> None:
    usages = [Usage(at_ms=at(0, 20), model=SDXL, requests=168, seconds=0)]
    rhythm = learn(usages, since_ms=at(0, 20), until_ms=at(0, 21))
    assert rhythm.week_of(SDXL)[5 * 24 + 20] == pytest.approx(1 / 3600, rel=1e-2)


def test_old_weeks_fade_and_new_habits_take_over() -> None:
    before = weekly(4, 1, 9)
    after = [
        Usage(at_ms=at(3, 15, week), model=SDXL, requests=60, seconds=0) for week in range(4, 12)
    ]
    week = taught([*before, *after], 12).week_of(SDXL)
    assert week[3 * 24 + 15] > 2.5 * week[24 + 9]


def test_history_beyond_its_memory_is_not_used() -> None:
    old = Usage(at_ms=at(0, 0), model=SDXL, requests=1, seconds=1)
    rhythm = learn([old], since_ms=0, until_ms=at(0, 1) + MEMORY_MS)
    assert rhythm.habits == {}
    assert rhythm.until_ms - rhythm.since_ms <= MEMORY_MS + HOUR_MS


def test_hours_are_those_of_the_zone() -> None:
    berlin, kolkata = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
    assert hour_of_week(at(0, 23), UTC) == 23
    assert hour_of_week(at(0, 23), berlin) == 24 + 1
    assert hour_of_week(at(0, 3.5), kolkata) == 9
    rhythm = taught(weekly(4, 0, 7), 4, berlin)
    week = rhythm.week_of(SDXL)
    assert week.index(max(week)) == 9
    assert rhythm.expected(SDXL, at(0, 7, 4), berlin) == pytest.approx(week[9])


def test_a_habit_keeps_its_local_hour_when_the_clock_is_changed() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    mondays = [datetime(2026, 3, 9, 9, tzinfo=berlin) + timedelta(weeks=n) for n in range(6)]
    usages = [
        Usage(at_ms=int(day.timestamp() * 1000), model=SDXL, requests=60, seconds=0)
        for day in mondays
    ]
    until = int(datetime(2026, 4, 20, tzinfo=berlin).timestamp() * 1000)
    rhythm = learn(usages, since_ms=until - 6 * WEEK_MS, until_ms=until, zone=berlin)
    assert rhythm.week_of(SDXL).index(max(rhythm.week_of(SDXL))) == 9


def test_load_is_workers_kept_busy_by_all_models_together() -> None:
    usages = [
        Usage(at_ms=at(0, h), model=model, requests=1, seconds=3600)
        for h in range(2 * HOURS)
        for model in (SDXL, "unet/flux.safetensors", "")
    ]
    assert taught(usages, 2).load() == pytest.approx((3.0,) * HOURS, rel=1e-3)


def morning(weeks: int) -> Rhythm:
    """Mondays from 9 to 12 four workers are busy, else none."""
    return taught(
        [u for hour in (9, 10, 11) for u in weekly(weeks, 0, hour, seconds=4 * 3600)], weeks
    )


def test_a_peak_is_hours_in_a_row_that_need_most_of_the_pool() -> None:
    (peak,) = morning(6).peaks(at(0, 0, 6), at(1, 0, 6), workers=4, share=0.5)
    assert (peak.begin_ms, peak.end_ms) == (at(0, 9, 6), at(0, 12, 6))
    assert 2.5 < peak.load <= 4
    assert morning(6).peaks(at(0, 0, 6), at(1, 0, 6), workers=8, share=0.5) == []


def test_a_peak_is_ahead_from_its_lead_until_its_end() -> None:
    rhythm = morning(6)

    def ahead(hour: float) -> Peak | None:
        return rhythm.peak_ahead(at(0, hour, 6), lead_ms=HOUR_MS // 4, workers=4, share=0.5)

    assert ahead(8.7) is None
    assert ahead(8.75) == ahead(9) == ahead(11.9)
    assert ahead(8.75) is not None
    assert ahead(12) is None


def test_two_weeks_are_needed_before_a_peak_is_believed() -> None:
    found = morning(1).peak_ahead(at(0, 9, 1), lead_ms=0, workers=4, share=0.1)
    assert found is None
    assert morning(2).peak_ahead(at(0, 9, 2), lead_ms=0, workers=4, share=0.1) is not None


def test_a_pool_that_is_always_full_has_no_peaks() -> None:
    usages = [
        Usage(at_ms=at(0, h), model=SDXL, requests=1, seconds=4 * 3600) for h in range(4 * HOURS)
    ]
    rhythm = taught(usages, 4)
    hours = [peak.end_ms - peak.begin_ms for peak in _whole_week(rhythm)]
    assert sum(hours) < WEEK_MS / 2


def _whole_week(rhythm: Rhythm) -> list[Peak]:
    return rhythm.peaks(rhythm.until_ms, rhythm.until_ms + WEEK_MS, workers=4, share=0.5)


def test_without_workers_there_is_no_peak() -> None:
    assert morning(6).peak_ahead(at(0, 9, 6), lead_ms=0, workers=0, share=0.5) is None


def test_rare_models_are_counted_together() -> None:
    usages = [
        Usage(at_ms=at(0, 1), model=f"m{n:04}", requests=1 + n, seconds=10) for n in range(600)
    ]
    rhythm = taught(usages, 1)
    assert len(rhythm.habits) == 201
    assert "m0599" in rhythm.habits
    assert "m0000" not in rhythm.habits
    assert sum(rhythm.habits[""].seconds) == pytest.approx(400 * 10 * 2 ** (-(167 / 168) / 4))


def test_size_and_load_time_are_the_newest_known() -> None:
    usages = [
        Usage(at_ms=at(0, 5), model=SDXL, requests=1, seconds=0, bytes=7, load_seconds=5.0),
        Usage(at_ms=at(0, 6), model=SDXL, requests=1, seconds=0),
        Usage(at_ms=at(0, 1), model=SDXL, requests=1, seconds=0, bytes=3, load_seconds=9.0),
    ]
    habit = taught(usages, 1).habits[SDXL]
    assert (habit.bytes, habit.load_seconds) == (7, 5.0)


def test_what_is_written_is_read_again() -> None:
    rhythm = morning(3)
    again = from_json(rhythm.to_json())
    assert again is not None
    assert (again.since_ms, again.until_ms) == (rhythm.since_ms, rhythm.until_ms)
    assert again.week_of(SDXL) == pytest.approx(rhythm.week_of(SDXL), rel=1e-3)
    assert len(rhythm.to_json()) < 3000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"version": 2, "watched": []}',
        morning(1).to_json().replace(b'"version":1', b'"version":9'),
        morning(1).to_json().replace(b'"habits":{', b'"habits":{"x":[{"999":1},{},0,0],'),
        morning(1).to_json().replace(b'"habits":{', b'"habits":{"x":[{"9":-1},{},0,0],'),
        morning(1).to_json().replace(b'"habits":{', b'"habits":{"x":[],'),
    ],
)
def test_what_is_no_table_of_this_version_is_none(text: bytes) -> None:
    assert from_json(text) is None
