"""``vramgate advice``: what would make work faster, with the evidence for it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import opened_store

if TYPE_CHECKING:
    from store.advice import KeptAdvice


def advice(
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what concerns this user's jobs.")
    ] = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Find it anew first; else: as last found, each 10 minutes."),
    ] = False,
    dismissed: Annotated[
        bool, typer.Option("--dismissed", help="Also what was dismissed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say what would make work faster: cause, what to do, what that gains, and how sure it is.

    Found in the jobs of the last seven days by tests that are right in 19 of 20 cases
    (docs/advice.md). Gains are seconds a day, with bounds that hold in 90 % of cases.

    [bold]Example[/bold]: vramgate advice --now
    """
    ground = read_ground(config, data_dir)
    found = asyncio.run(_read(ground, user, now=now))
    shown = [one for one in found if dismissed or not one.dismissed]
    if as_json:
        print(json.dumps({"advice": [_json(one, user) for one in shown]}, ensure_ascii=False))
        return
    for one in shown:
        _show(one)
    if not shown:
        print("no advice: nothing that stands out, or too few runs to tell")


async def _read(ground: Ground, user: str | None, *, now: bool) -> list[KeptAdvice]:
    from dashboard.advice.chores import find
    from store.advice import ADMINS, SqlAdvice

    async with opened_store(ground) as engine:
        if now:
            await find(engine, int(time.time() * 1000))
        return await SqlAdvice(engine).all(ADMINS if user is None else user)


def _json(one: KeptAdvice, user: str | None) -> dict[str, Any]:
    from dashboard.advice.body import seen_by

    plain = {name: value for name, value in asdict(one).items() if name != "body"}
    return {**plain, "dismissed": one.dismissed, **seen_by(one.body, user)}


def _show(one: KeptAdvice) -> None:
    from rich.console import Console
    from rich.markup import escape

    from dashboard.advice import words

    console, body = Console(), one.body
    gain = (
        f"{words.seconds(one.gain)} a day ({words.seconds(max(0.0, one.gain_low))} to "
        f"{words.seconds(one.gain_high)}) of {body['gain_in'].replace('_', ' ')}"
    )
    console.print(
        f"[bold]{escape(body['title'])}[/bold]" + ("  (dismissed)" if one.dismissed else "")
    )
    console.print(f"  {escape(body['cause'])}")
    for remedy in body["remedies"]:
        console.print(f"  → {escape(remedy)}")
    proof = body["proof"]
    console.print(
        f"  gain {gain}; {proof['shown']} against {proof['compared']}, p {proof['p_value']:.2g}\n",
        style="dim",
    )
