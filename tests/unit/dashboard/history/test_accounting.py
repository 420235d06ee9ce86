"""What is dealt out makes up the whole, whatever the hours and whoever ran beside whom."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.history.accounting import (
    HOUR_MS,
    Account,
    EndedJob,
    Power,
    Stay,
    add_up,
    cut,
    deal,
)

ANN = Account("ann", "film", "fp-1", "sdxl")
BOB = Account("bob", "film", "fp-2", "flux")


def stay(job: str, claimed: int | None, ended: int | None, **changes: Any) -> Stay:
    fields: dict[str, Any] = {
        "job": job,
        "attempt": 1,
        "account": ANN,
        "gpu": "g",
        "admitted_ms": claimed or 0,
        "claimed_ms": claimed,
        "ended_ms": ended,
        "reserved_bytes": 0,
        "cost_us": 0,
    }
    return Stay(**(fields | changes))


@given(st.integers(0, 10**12), st.integers(1, 50))
def test_parts_make_up_the_whole_and_differ_by_one_at_most(amount: int, parts: int) -> None:
    dealt = deal(amount, parts)
    assert sum(dealt) == amount
    assert max(dealt) - min(dealt) <= 1


def test_two_jobs_that_share_a_gpu_share_its_time() -> None:
    stays = [stay("a", 0, 1000), stay("b", 500, 2000, account=BOB)]
    sums = add_up(stays, [], [], 0, HOUR_MS)
    assert sums[0, "g", ANN].gpu_us == 500_000 + 250_000
    assert sums[0, "g", BOB].gpu_us == 250_000 + 1_000_000


def test_an_hours_end_cuts_what_goes_on() -> None:
    sums = add_up([stay("a", HOUR_MS - 10, HOUR_MS + 5, reserved_bytes=7)], [], [], 0, 2 * HOUR_MS)
    assert [sums[hour, "g", ANN].gpu_us for hour in (0, HOUR_MS)] == [10_000, 5_000]
    assert [sums[hour, "g", ANN].byte_ms for hour in (0, HOUR_MS)] == [70, 35]


def test_a_reservation_counts_from_admission_and_time_from_the_claim() -> None:
    sums = add_up([stay("a", 100, 300, admitted_ms=40, reserved_bytes=2)], [], [], 0, HOUR_MS)
    assert (sums[0, "g", ANN].gpu_us, sums[0, "g", ANN].byte_ms) == (200_000, 520)
    never_ran = stay("b", None, 300, admitted_ms=40, reserved_bytes=2)
    assert add_up([never_ran], [], [], 0, HOUR_MS)[0, "g", ANN].gpu_us == 0


def test_what_goes_on_is_counted_up_to_now() -> None:
    sums = add_up([stay("a", 100, None)], [], [], 0, 5_000)
    assert sums[0, "g", ANN].gpu_us == 4_900_000


def test_energy_is_shared_by_who_ran_and_an_idle_gpus_is_nobodys() -> None:
    stays = [stay("a", 0, 2000), stay("b", 1000, 2000, account=BOB)]
    power = [Power("g", at, 301) for at in (0, 1000, 2000)] + [Power("other", 0, 9)]
    sums = add_up(stays, [], power, 0, HOUR_MS)
    assert (sums[0, "g", ANN].energy_mj, sums[0, "g", BOB].energy_mj) == (301 + 151, 150)


def test_energy_of_a_longer_sample_is_dealt_out_second_by_second() -> None:
    stays = [stay("a", 0, 2000), stay("b", 1000, 4000, account=BOB)]
    sums = add_up(stays, [], [Power("g", 0, 301, 10)], 0, HOUR_MS)
    assert (sums[0, "g", ANN].energy_mj, sums[0, "g", BOB].energy_mj) == (301 + 151, 150 + 602)


def test_ends_count_jobs_failures_and_waits() -> None:
    ends = [
        EndedJob(account=ANN, gpu="g", ended_ms=5, failed=failed, wait_ms=30)
        for failed in (True, False)
    ]
    used = add_up([], ends, [], 0, HOUR_MS)[0, "g", ANN]
    assert (used.jobs, used.failed, used.wait_ms) == (2, 1, 60)


_STAYS = st.lists(
    st.tuples(st.integers(0, 3 * HOUR_MS), st.integers(0, HOUR_MS), st.sampled_from([ANN, BOB])),
    max_size=12,
)


@given(_STAYS, st.integers(0, 3))
def test_all_parts_make_up_the_time_in_which_anything_ran(
    drawn: list[tuple[int, int, Account]], first_hour: int
) -> None:
    stays = [
        stay(f"j{n}", at, at + length, account=who) for n, (at, length, who) in enumerate(drawn)
    ]
    begin, end = first_hour * HOUR_MS, 4 * HOUR_MS
    total, reached = 0, begin
    for one in sorted(stays, key=lambda each: each.admitted_ms):
        low, high = max(one.admitted_ms, reached), min(one.ended_ms or 0, end)
        total += max(0, high - low)
        reached = max(reached, high)
    sums = add_up(stays, [], [], begin, end)
    assert sum(used.gpu_us for used in sums.values()) == total * 1000
    for part in cut(stays, begin, end):
        assert part.from_ms // HOUR_MS == (part.until_ms - 1) // HOUR_MS
