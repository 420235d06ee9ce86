"""Days of a time zone, over hours of UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dashboard.api.local_days import DAY_MS, HOUR_MS, name_of, names, stretches

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


def test_a_span_without_a_change_of_clocks_is_one_stretch() -> None:
    begin = at(2026, 11, 1)
    assert list(stretches(begin, begin + 9 * DAY_MS, BERLIN)) == [
        (begin, begin + 9 * DAY_MS, HOUR_MS)
    ]


def test_a_stretch_ends_where_clocks_change() -> None:
    begin, end = at(2026, 3, 28, 12), at(2026, 3, 31)
    change = at(2026, 3, 29, 1)
    assert list(stretches(begin, end, BERLIN)) == [
        (begin, change, HOUR_MS),
        (change, end, 2 * HOUR_MS),
    ]


def test_both_parts_of_a_day_of_23_hours_have_its_name() -> None:
    change = at(2026, 3, 29, 1)
    # where the database begins the day of the hours before and after the change
    before = (change - HOUR_MS) - (change - HOUR_MS + HOUR_MS) % DAY_MS
    after = change - (change + 2 * HOUR_MS) % DAY_MS
    assert name_of(before, HOUR_MS) == name_of(after, 2 * HOUR_MS) == "2026-03-29"


def test_days_of_a_span_are_those_it_has_a_part_of() -> None:
    assert names(at(2026, 11, 1, 22), at(2026, 11, 2, 0), BERLIN) == ["2026-11-01", "2026-11-02"]
    assert names(at(2026, 11, 1, 18), at(2026, 11, 1, 19), KOLKATA) == ["2026-11-01"]
    assert names(at(2026, 3, 28), at(2026, 3, 31), BERLIN) == [
        "2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31",
    ]  # fmt: skip
