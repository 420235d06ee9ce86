"""Early warnings from what the store has: samples of half an hour."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.alerts.watch import Watch
from scheduler.memory_ledger import MemoryLedger
from store import history_schema
from store.alerts import SqlAlerts
from tests.factories import GIB, gpu, report
from tests.integration.alerts.conftest import Clock
from tests.integration.history.rows import fill, sample_row


@pytest.mark.parametrize(("each_minute_gib", "warned"), [(0.3, True), (0.0, False)])
async def test_another_program_that_grows_is_told_before_there_is_no_room(
    books_ledger: MemoryLedger,
    engine: AsyncEngine,
    watch: Callable[..., Watch],
    alerts: SqlAlerts,
    clock: Clock,
    each_minute_gib: float,
    warned: bool,
) -> None:
    def foreign(minutes_ago: int) -> int:
        return int((16 - each_minute_gib * minutes_ago) * GIB)

    minute = clock.ms - clock.ms % 60_000
    # the newest minutes have samples of each second only, as always
    rows = [
        sample_row(minute - n * 60_000, step_s=60, readings=60, foreign_bytes=foreign(n))
        for n in range(3, 36)
    ]
    rows += [sample_row(minute - n * 1000, foreign_bytes=foreign(n // 60)) for n in range(1, 120)]
    await fill(engine, history_schema.gpu_samples, rows)
    card = gpu("gpu-0", "host", foreign_bytes=foreign(0), used_bytes=foreign(0))
    for _ in range(8):
        await books_ledger.report(report(gpus=[card], workers=[]))
        await watch().look()
        clock.ms += 10_000
    found = [one for one in await alerts.firing() if one.rule == "headroom_soon"]
    assert bool(found) == warned
    if warned:
        assert found[0].subject == "gpu:gpu-0"
        assert "more each minute" in found[0].detail["text"]
