"""What was used this month reaches the scheduler."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from cli import chores
from cli.budgets import spent_of
from cli.jobs import errands
from cli.options import read_ground
from scheduler.budgets import SPENT_NOTE, decode_spent
from scheduler.redis_ledger import RedisLedger
from store import history_schema as history
from tests.integration.history.rows import HOUR_MS, fill

#: 2023-12-01 00:00 UTC
DECEMBER_MS = 1_701_388_800_000


async def put(engine: AsyncEngine, hour_ms: int, user: str, gpu_us: int) -> None:
    names = {"gpu": "g", "user_name": user, "group_name": "film", "fingerprint": "", "model": ""}
    zeros = dict.fromkeys(("byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms"), 0)
    row = {"hour_ms": hour_ms, **names, **zeros, "gpu_us": gpu_us}
    await fill(engine, history.usage, [row])


async def test_only_this_month_counts_by_user_and_by_group(engine: AsyncEngine) -> None:
    await put(engine, DECEMBER_MS - HOUR_MS, "ann", 1)
    await put(engine, DECEMBER_MS, "ann", 10)
    await put(engine, DECEMBER_MS + HOUR_MS, "bob", 100)
    spent = await spent_of(engine, DECEMBER_MS + 2 * HOUR_MS, ZoneInfo("UTC"))
    assert (spent.month, spent.users) == ("2023-12", {"ann": 10, "bob": 100})
    assert spent.groups == {"film": 110}
    berlin = await spent_of(engine, DECEMBER_MS + 2 * HOUR_MS, ZoneInfo("Europe/Berlin"))
    assert berlin.users == {"ann": 11, "bob": 100}


async def test_it_is_always_told_as_an_admin_may_give_a_budget_while_all_runs(
    engine: AsyncEngine, store_url: str, ledger: RedisLedger, valkey_url: str, pool_name: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    now_ms = int(time.time() * 1000)
    await put(engine, now_ms - now_ms % HOUR_MS, "ann", 7)
    file = tmp_path / "a.yaml"
    redis = f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\nstore: {{url: '{store_url}'}}\n"
    file.write_text(redis)
    ground = read_ground(file, tmp_path, environ={})
    chore = {one.name: one for one in errands(ground)}["budgets"]
    assert (chore.function, chore.args) == ("cli.chores.tell_spent", ())
    chores.work_for(ground)
    await asyncio.to_thread(chores.tell_spent)
    spent = decode_spent(await ledger.noted(SPENT_NOTE))
    assert spent is not None
    assert spent.groups == {"film": 7}
