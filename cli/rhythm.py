"""``vramgate rhythm``: demand by hour of the week, and what going by it would gain."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.boot import connect_ledger, redis_url
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import opened_store
from scheduler.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from cli.rhythm_advice import Advice, ModelWeek
    from scheduler.rhythm import Peak

app = typer.Typer(
    no_args_is_help=True,
    help="Demand by hour of the week, learned from history (scheduler.rhythm).",
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: models that people see; JSON has all
_MOST_LINES = 20


@app.callback()
def _rhythm() -> None:
    """Keeps ``show`` a subcommand."""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what history says of the week, the peaks of the next 24 hours, and what it is worth.

    The last week of history runs once more in simulated time on GPUs like this pool's, with
    scheduler.rhythm off and on, knowing only the weeks before it.

    [bold]Example[/bold]: vramgate rhythm show
    """
    ground = read_ground(config, data_dir)
    advice = asyncio.run(_advice(ground, int(time.time() * 1000)))
    print(json.dumps(advice.flat()) if as_json else "\n".join(_lines(advice)))


async def _advice(ground: Ground, now_ms: int) -> Advice:
    # other commands need none of this, and it takes a moment to import
    from cli.rhythm_advice import advise

    settings = ground.source.current()
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    try:
        async with opened_store(ground, new=True) as engine:
            return await advise(engine, await ledger.pool(), settings.scheduler, now_ms)
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error
    finally:
        await ledger.close()


def _lines(advice: Advice) -> list[str]:
    zone = ZoneInfo(advice.zone)
    head = f"scheduler.rhythm is {advice.mode}; hours are those of {advice.zone}"
    if not advice.requests:
        return [head, "there is no history yet: nothing was run on a GPU, or nothing was recorded"]
    return [
        head,
        f"history    {advice.days:.1f} days, {advice.requests:,} requests",
        "",
        *_model_lines(advice.models),
        "",
        *_peak_lines(advice, zone),
        "",
        *_gain_lines(advice),
    ]


def _model_lines(models: Sequence[ModelWeek]) -> list[str]:
    lines = [f"{'model':44} {'a week':>8}  busiest hours (requests an hour)"]
    for model in models[:_MOST_LINES]:
        hours = ", ".join(f"{_hour(hour)} ({rate:.3g})" for hour, rate in model.busiest)
        lines.append(f"{model.name or '(others)':44} {model.weekly:>8,.0f}  {hours}")
    if len(models) > _MOST_LINES:
        lines.append(f"and {len(models) - _MOST_LINES} more; --json has all")
    return lines


def _hour(hour: int) -> str:
    return f"{_DAYS[hour // 24]} {hour % 24}:00"


def _peak_lines(advice: Advice, zone: ZoneInfo) -> list[str]:
    rule = f"more than {advice.share:.0%} of {advice.workers} workers busy with interactive work"
    if not advice.is_trusted:
        return [f"peaks      none are told before two weeks of history ({rule})"]
    if not advice.peaks:
        return [f"peaks      none in the next 24 hours ({rule})"]
    return [
        f"peaks of the next 24 hours ({rule})",
        *(f"  {_span(peak, zone)}: {peak.load:.1f} workers" for peak in advice.peaks),
    ]


def _span(peak: Peak, zone: ZoneInfo) -> str:
    begin, end = (datetime.fromtimestamp(ms / 1000, zone) for ms in (peak.begin_ms, peak.end_ms))
    return f"{begin:%a %H:%M} to {end:%H:%M}"


def _gain_lines(advice: Advice) -> list[str]:
    gain = advice.gain
    if gain is None:
        return [f"no advice  {advice.why_not}"]
    rows: list[tuple[str, Any, Any, str]] = [
        ("mean wait, interactive", gain.off.interactive_wait_s, gain.on.interactive_wait_s, ".1f"),
        ("mean wait, batch", gain.off.batch_wait_s, gain.on.batch_wait_s, ".1f"),
        ("found its models loaded", gain.off.warm_hit, gain.on.warm_hit, ".1%"),
    ]
    return [
        f"the last {gain.days:.1f} days once more, in simulated time ({gain.requests:,} requests); "
        "waits in seconds",
        f"  {'scheduler.rhythm':24} {'off':>9} {'on':>9}",
        *(f"  {name:24} {format(off, how):>9} {format(on, how):>9}" for name, off, on, how in rows),
    ]
