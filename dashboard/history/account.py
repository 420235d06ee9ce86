"""Adds up usage, again and again: each run replaces the hours that are not final yet.

An hour is final when the recorder is well past it and all jobs that had an attempt in it have
ended. So a recorder that was away for a day changes nothing: its hours were never final.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.accounting import HOUR_MS, Account, EndedJob, Power, Stay, Sums, add_up
from store.accounts import RECORDED_MARK, USAGE_MARK, AnyRow, SqlAccounts

#: Another recorder may have an older batch in hand for so long.
GRACE_MS: Final = 900_000
#: A job that has not ended for so long holds up nothing any more.
STALE_MS: Final = 7 * 24 * HOUR_MS
#: Hours that are read and written at a time.
_DAY_MS: Final = 24 * HOUR_MS


async def account(engine: AsyncEngine, now_ms: int) -> int:
    """Bring the sums up to now.

    Returns:
        How many rows were written.
    """
    accounts = SqlAccounts(engine)
    begin = await accounts.mark(USAGE_MARK)
    if begin is None:
        begin = await accounts.first_ms()
    if begin is None:
        return 0
    lost = await _lost_ends(accounts)
    final = max(await _final_ms(accounts, lost, _hour(begin)), _hour(now_ms - STALE_MS))
    written = 0
    at = _hour(begin)
    while at <= now_ms:
        until = min(at + _DAY_MS, _hour(now_ms) + HOUR_MS)
        rows = _rows(await _sums(accounts, at, until, now_ms, lost))
        await accounts.replace(at, until, rows, max(_hour(begin), min(final, until)))
        written += len(rows)
        at = until
    return written


async def _lost_ends(accounts: SqlAccounts) -> dict[tuple[str, int], tuple[int, int | None]]:
    """Attempts without an end → admission, and when they must have ended: their worker has one."""
    return {
        (row.job_id, row.attempt): (row.admitted_ms, row.next_ms)
        for row in await accounts.unended()
    }


async def _final_ms(
    accounts: SqlAccounts,
    unended: dict[tuple[str, int], tuple[int, int | None]],
    begin_ms: int,
) -> int:
    recorded = await accounts.mark(RECORDED_MARK) or 0
    open_since = [admitted for admitted, following in unended.values() if following is None]
    nameless = await accounts.nameless_since(begin_ms)
    if nameless is not None:
        open_since.append(nameless)
    return _hour(min([recorded - GRACE_MS, *open_since]))


async def _sums(
    accounts: SqlAccounts,
    from_ms: int,
    until_ms: int,
    now_ms: int,
    lost: dict[tuple[str, int], tuple[int, int | None]],
) -> Sums:
    stays = [_stay(row, lost) for row in await accounts.attempts(from_ms, until_ms)]
    ends = [_end(row) for row in await accounts.ended(from_ms, until_ms)]
    power = [
        Power(row.gpu, row.at_ms, row.power_mw, row.step_s)
        for row in await accounts.power(from_ms, until_ms)
    ]
    return add_up(stays, ends, power, from_ms, min(until_ms, now_ms))


def _stay(row: AnyRow, lost: dict[tuple[str, int], tuple[int, int | None]]) -> Stay:
    ended = row.ended_ms
    if ended is None:
        ended = lost.get((row.job_id, row.attempt), (0, None))[1]
    return Stay(
        job=row.job_id,
        attempt=row.attempt,
        account=_account(row),
        gpu=row.gpu or "",
        admitted_ms=row.admitted_ms,
        claimed_ms=row.claimed_ms,
        ended_ms=ended,
        reserved_bytes=row.reserved_bytes or 0,
        cost_us=row.cost_us or 0,
    )


def _end(row: AnyRow) -> EndedJob:
    started = row.first_ms or row.ended_ms
    return EndedJob(
        account=_account(row),
        gpu=row.gpu,
        ended_ms=row.ended_ms,
        failed=row.state == "FAILED",
        wait_ms=max(0, started - row.submitted_ms) if row.submitted_ms else 0,
    )


def _account(row: AnyRow) -> Account:
    # names are those of the job's record, which comes when it has ended
    return Account(row.user_name, row.group_name or "", row.fingerprint or "", row.model or "")


def _rows(sums: Sums) -> list[dict[str, Any]]:
    return [
        {
            "hour_ms": hour,
            "gpu": gpu,
            "user_name": account.user,
            "group_name": account.group,
            "fingerprint": account.fingerprint,
            "model": account.model,
            "gpu_us": used.gpu_us,
            "byte_ms": used.byte_ms,
            "cost_us": used.cost_us,
            "energy_mj": used.energy_mj,
            "jobs": used.jobs,
            "failed": used.failed,
            "wait_ms": used.wait_ms,
        }
        for (hour, gpu, account), used in sums.items()
    ]


def _hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS
