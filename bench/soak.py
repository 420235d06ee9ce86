"""A studio's day in fast motion through several gateways: memory of each process, and every job.

Artists at browsers that are cut off and come back, scripts, and clients that do not
read, against simulated GPUs. Time runs faster for people and GPUs alike; what a request
costs does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.machine import describe
from bench.soak_artist import Artist
from bench.soak_books import Books, Posted, follow
from bench.soak_memory import Memory
from bench.soak_studio import Deaf, Script, Studio, User
from cli.services import gateway_names
from scheduler.redis_ledger import RedisLedger
from tests.endtoend.stack import Stack

#: samples of memory in a soak; the quarters' medians rest on a quarter of them each
_SAMPLES: Final = 400
#: ended prompts of each user that Redis keeps: few, so that it is full within the first hours
_KEPT: Final = 50
#: seconds that queued work may take to end when everybody has gone home
_DRAIN_S: Final = 180.0
#: prompts whose pictures are looked at together when all is over
_PARALLEL: Final = 8
_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """How long, how fast, how many."""

    hours: float
    speedup: float
    gateways: int
    artists: int
    scripts: int
    deaf: int
    gpus: int
    kills: int
    seed: int


async def run(options: Options) -> dict[str, Any]:
    """One soak; the report."""
    people = options.artists + options.scripts
    users = [User(f"user{n}", secrets.token_urlsafe(16)) for n in range(people)]
    with tempfile.TemporaryDirectory() as folder:
        simulated = f"gpus={options.gpus},vram=24GiB,workers=2,speed={options.speedup:g}"
        stack = Stack(
            Path(folder),
            *("--simulate", simulated, "--gateways", str(options.gateways)),
            config=_config(users),
        )
        await asyncio.to_thread(stack.start)
        try:
            return await _soak(options, stack, users)
        finally:
            await asyncio.to_thread(stack.stop, 60)


def _config(users: list[User]) -> str:
    lines = [
        f"  - {{name: {user.name}, group: team{n % 3}, key: {user.key}}}\n"
        for n, user in enumerate(users)
    ]
    return f"auth: {{mode: keys}}\nstore: {{keep_jobs: {_KEPT}}}\nusers:\n" + "".join(lines)


async def _soak(options: Options, stack: Stack, users: list[User]) -> dict[str, Any]:
    books = Books()
    studio = Studio(stack.url, users, books, speedup=options.speedup, seed=options.seed)
    ledger = RedisLedger.connect(stack.state()["redis"], "default")
    memory = Memory(stack)
    began = time.monotonic()
    following = asyncio.create_task(follow(ledger, books, await ledger.last_event_id()))
    try:
        await _day(options, stack, studio, memory)
        late = await _drained(books)
        await _check_all(studio)
        following.cancel()
        return {
            "machine": describe(),
            "hours": options.hours,
            "speedup": options.speedup,
            "gateways": options.gateways,
            "seconds": round(time.monotonic() - began, 1),
            "drained": not late,
            "jobs": books.report(),
            "memory": memory.report(),
        }
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        memory.close()
        await ledger.close()


async def _day(options: Options, stack: Stack, studio: Studio, memory: Memory) -> None:
    """Let everybody work; samples are taken meanwhile, and gateways killed."""
    artists = studio.users[: options.artists]
    scripts = studio.users[options.artists :]
    crowd: list[Callable[[], Awaitable[None]]] = [
        *(Artist(studio, user).run for user in artists),
        *(Script(studio, user).run for user in scripts),
        *(Deaf(studio).run for _ in range(options.deaf)),
    ]
    everybody = asyncio.gather(*(one() for one in crowd))
    seconds = options.hours * 3600 / options.speedup
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds and not everybody.done():
        hour = passed * options.speedup / 3600
        await asyncio.to_thread(memory.look, hour)
        if studio.books.counts["kills"] < int(passed / seconds * (options.kills + 1)):
            await asyncio.to_thread(_kill_one, options.gateways, stack, studio.books)
        _say_where(hour, options.hours, studio)
        await asyncio.wait({everybody}, timeout=max(seconds / _SAMPLES, _LOOK_S))
    studio.closing.set()
    await everybody
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _kill_one(gateways: int, stack: Stack, books: Books) -> None:
    """Kill -9 of one gateway after the other."""
    names = gateway_names(gateways)
    stack.kill(names[books.counts["kills"] % len(names)])
    books.counts["kills"] += 1


def _say_where(hour: float, hours: float, studio: Studio) -> None:
    if not sys.stderr.isatty():
        return
    books = studio.books
    line = (
        f"{hour:5.1f} of {hours:g} h · {len(books.jobs):,} posted · {books.ended:,} ended · "
        f"{len(studio.pages)} pages · {books.counts['reconnects']:,} reconnects"
    )
    print(f"{line:78}", end="\r", file=sys.stderr, flush=True)


async def _drained(books: Books) -> int:
    """Wait until all has ended; how much has not."""
    for _ in range(int(_DRAIN_S / _LOOK_S)):
        left = sum(1 for _ in books.unfinished())
        if not left:
            break
        await asyncio.sleep(_LOOK_S)
    return left


async def _check_all(studio: Studio) -> None:
    """Every prompt: its end, its history entry, its picture where nobody has seen it yet."""
    await asyncio.sleep(1)  # an end that is told twice would be told now
    by_user: dict[str, list[Posted]] = {}
    for job in studio.books.jobs.values():
        if not job.shown:
            by_user.setdefault(job.user, []).append(job)
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(user: User) -> None:
        async with gate, studio.session(user) as http:
            for job in by_user.get(user.name, []):
                await _check(studio, http, job)

    await asyncio.gather(*(one(user) for user in studio.users))
    for job in studio.books.jobs.values():
        studio.books.check_ends(job)


async def _check(studio: Studio, http: Any, job: Posted) -> None:
    found = json.loads(await studio.get(http, f"/history/{job.prompt_id}") or b"{}")
    image = studio.books.image(job, found.get(job.prompt_id))
    if image is not None:
        studio.books.check_picture(job, await studio.get(http, "/view", **image) or b"")


def _print(report: dict[str, Any]) -> None:
    jobs, memory = report["jobs"], report["memory"]
    print(
        f"{report['hours']:g} h at {report['speedup']:g}x through {report['gateways']} gateways: "
        f"{jobs['posted']:,} posted, {jobs['succeeded']:,} succeeded, {jobs['cancelled']:,} "
        f"cancelled, {jobs['pictures_seen']:,} pictures seen, {jobs['unaccounted']} unaccounted for"
    )
    print(", ".join(f"{name} {count:,}" for name, count in jobs["done"].items()))
    for told in jobs["told"]:
        print(f"  {told}")
    rows = {**memory["processes_mib"], **memory["others"]}
    for name, row in rows.items():
        quarters = "  ".join(f"{value:9.1f}" for value in row["quarters"])
        verdict = {True: "flat", False: "GROWS", None: ""}[row.get("flat")]
        print(f"{name:22} {quarters}   {row['per_hour']:+8.3f} per hour  {verdict}")


def main() -> None:
    """Run it; exit code 1 if a job is unaccounted for or a process grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated hours (24)")
    parser.add_argument("--speedup", type=float, default=100.0, help="how much faster (100)")
    parser.add_argument("--gateways", type=int, default=3, help="gateway processes (3)")
    parser.add_argument("--artists", type=int, default=24, help="people at browsers (24)")
    parser.add_argument("--scripts", type=int, default=4, help="scripts (4)")
    parser.add_argument("--deaf", type=int, default=4, help="clients that hardly read (4)")
    parser.add_argument("--gpus", type=int, default=2, help="simulated GPUs, two workers each (2)")
    parser.add_argument("--kills", type=int, default=0, help="times that a gateway is killed (0)")
    parser.add_argument("--seed", type=int, default=1, help="of what people do (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = vars(parser.parse_args())
    as_json = given.pop("json")
    report = asyncio.run(run(Options(**given)))
    if as_json:
        print(json.dumps(report))
    else:
        _print(report)
    grows = [one for one in report["memory"]["processes_mib"].values() if one["flat"] is False]
    sys.exit(1 if report["jobs"]["unaccounted"] or grows else 0)


if __name__ == "__main__":
    main()
