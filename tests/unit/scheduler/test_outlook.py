"""What the leader makes of the rhythm."""

from __future__ import annotations

from datetime import UTC, datetime

from scheduler.outlook import Horizon, Outlook
from scheduler.plan_config import Demand
from scheduler.rhythm import HOUR_MS, WEEK_MS, Rhythm, Usage, learn

MONDAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
MINUTE_MS = 60_000
NINE = 9 * HOUR_MS
SDXL, FLUX = "checkpoints/sdxl.safetensors", "unet/flux.safetensors"
HORIZON = Horizon(share=0.5, lead_ms=10 * MINUTE_MS)


def mornings(weeks: int = 6) -> Rhythm:
    """Mondays from 9 to 12, all four workers are busy with one model."""
    usages = [
        Usage(
            at_ms=MONDAY + week * WEEK_MS + NINE + hour * HOUR_MS,
            model=SDXL,
            requests=400,
            seconds=4 * 3600,
            bytes=7,
            load_seconds=5.5,
        )
        for week in range(weeks)
        for hour in range(3)
    ]
    return learn(usages, since_ms=MONDAY, until_ms=MONDAY + weeks * WEEK_MS)


def monday(offset_ms: int) -> int:
    """A time of the Monday after what was learned."""
    return MONDAY + 6 * WEEK_MS + offset_ms


def outlook() -> Outlook:
    made = Outlook()
    made.follow(mornings())
    return made


def test_without_a_table_nothing_is_expected() -> None:
    recent = {SDXL: Demand(rate=1.0, load_seconds=5.0, bytes=1)}
    assert Outlook().demand(recent, monday(NINE)) is recent
    assert Outlook().peak(monday(NINE), 4, HORIZON) is None


def test_a_model_of_the_coming_hour_is_wanted_though_nobody_asked_for_it_lately() -> None:
    wanted = outlook().demand({}, monday(NINE))[SDXL]
    assert 0.05 < wanted.rate < 400 / 3600
    assert (wanted.bytes, wanted.load_seconds) == (7, 5.5)
    assert outlook().demand({}, monday(20 * HOUR_MS))[SDXL].rate < wanted.rate / 10


def test_recent_rates_are_raised_and_never_lowered() -> None:
    recent = {
        SDXL: Demand(rate=0.001, load_seconds=4.0, bytes=9),
        FLUX: Demand(rate=3.0, load_seconds=20.0, bytes=12),
    }
    blended = outlook().demand(recent, monday(NINE))
    assert blended[SDXL].rate > 0.05
    assert (blended[SDXL].bytes, blended[SDXL].load_seconds) == (9, 4.0)
    assert blended[FLUX] == recent[FLUX]
    busy = {SDXL: Demand(rate=5.0, load_seconds=4.0, bytes=9)}
    assert outlook().demand(busy, monday(NINE))[SDXL].rate == 5.0


def test_expectations_follow_the_clock() -> None:
    one = outlook()
    before = one.demand({}, monday(NINE - 2 * HOUR_MS))[SDXL].rate
    assert one.demand({}, monday(NINE))[SDXL].rate > before


def test_batch_waits_from_the_lead_until_the_peak_has_passed() -> None:
    one = outlook()
    assert one.peak(monday(NINE - 11 * MINUTE_MS), 4, HORIZON) is None
    peak = one.peak(monday(NINE - 10 * MINUTE_MS), 4, HORIZON)
    assert peak is not None
    assert (peak.begin_ms, peak.end_ms) == (monday(NINE), monday(NINE + 3 * HOUR_MS))
    one.came(monday(NINE + HOUR_MS), 4 * 3600)
    assert one.peak(monday(NINE + HOUR_MS), 4, HORIZON) == peak
    assert one.peak(monday(NINE + 3 * HOUR_MS), 4, HORIZON) is None


def test_a_peak_to_which_nobody_came_is_over_after_a_quarter_of_an_hour() -> None:
    one = outlook()
    assert one.peak(monday(NINE + 14 * MINUTE_MS), 4, HORIZON) is not None
    assert one.peak(monday(NINE + 15 * MINUTE_MS), 4, HORIZON) is None
    assert one.peak(monday(NINE + 2 * HOUR_MS), 4, HORIZON) is None


def test_a_peak_that_comes_late_is_a_peak_again() -> None:
    one = outlook()
    at = monday(NINE + HOUR_MS)
    assert one.peak(at, 4, HORIZON) is None
    for minute in range(30):  # four workers' work
        one.came(at + minute * MINUTE_MS, 4 * 60)
    assert one.peak(at + 30 * MINUTE_MS, 4, HORIZON) is not None


def test_a_larger_pool_has_no_peak() -> None:
    assert outlook().peak(monday(NINE), 12, HORIZON) is None
    assert outlook().peak(monday(NINE), 4, HORIZON) is not None


def test_another_table_is_used_at_once() -> None:
    one = outlook()
    assert one.demand({}, monday(NINE))
    one.follow(None)
    assert one.demand({}, monday(NINE)) == {}
    assert one.peak(monday(NINE), 4, HORIZON) is None


def test_only_the_models_asked_for_most_are_wanted() -> None:
    usages = [
        Usage(at_ms=MONDAY, model=f"m{n:03}", requests=1 + n, seconds=0.0) for n in range(150)
    ]
    one = Outlook()
    one.follow(learn(usages, since_ms=MONDAY, until_ms=MONDAY + WEEK_MS))
    wanted = one.demand({}, MONDAY + WEEK_MS)
    assert set(wanted) == {f"m{n:03}" for n in range(50, 150)}
