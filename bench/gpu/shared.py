"""The mix through vramgate: six users post at once, vramgate decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.gpu import rows
from bench.gpu.clients import Posted, wait_all
from bench.gpu.jobs import graph, mix
from bench.gpu.setting import Setting, say
from bench.gpu.studio import USERS, Plan, Studio
from bench.gpu.watch import Watch
from bench.gpu.workers import marks
from cli.version import own_version


def plan(setting: Setting, workers: int | None = None) -> Plan:
    """How vramgate is started here."""
    return Plan(
        comfyui=setting.processes(workers or setting.workers),
        settings=setting.config,
        start_s=setting.start_s,
    )


async def through_vramgate(setting: Setting) -> None:
    """Cold in the first round: nothing was learned. What a round teaches the next one knows."""
    jobs = mix(setting.order, times=setting.times, rehearsal=setting.cpu)
    async with Studio.open(setting.place("vramgate"), plan(setting)) as studio:
        runs: Counter[str] = Counter()
        for number in range(1, setting.rounds + 1):
            row = await one_round(setting, studio, jobs, number, runs)
            setting.note("vramgate", row)
            runs.update(case for case, result, *_ in row["each"] if result == "success")
            say(f"vramgate round {number}: {row['makespan_s']} s, {row['failed']} failed")
            await studio.idle()


async def one_round(
    setting: Setting, studio: Studio, jobs: Sequence[str], number: int, runs: Mapping[str, int]
) -> rows.Row:
    """Post all, wait for all, and say how it went; ``runs``: of each case so far."""
    before = marks(studio.logs)
    with setting.card.sampled() as samples:
        async with Watch.over(studio) as watch:
            posted = await post(studio, jobs, number)
            await wait_all(posted, setting.limit_s)
    found = await studio.jobs(owners(posted))
    gpus = (await studio.pool()).gpus.values()
    return {
        "safety_bytes": sum(rows.safety_bytes(one.total_bytes - one.foreign_bytes) for one in gpus),
        "vramgate": own_version(),
        "workers": setting.workers,
        "round": number,
        **rows.outcome(posted, samples),
        "marks": dict(marks(studio.logs) - before),
        **watch.row(),
        **rows.booked(found, posted, runs),
        "profiles": rows.learned(await studio.profiles()),
    }


async def post(studio: Studio, jobs: Sequence[str], number: int) -> list[Posted]:
    """All at once; job i is user i mod 6's."""
    return [
        await studio.seats[USERS[k % len(USERS)]].post(name, graph(name, number * 10_000 + k))
        for k, name in enumerate(jobs)
    ]


def owners(posted: Sequence[Posted]) -> dict[str, str]:
    """Prompt → user, as ``post`` gave them out."""
    return {one.prompt_id: USERS[k % len(USERS)] for k, one in enumerate(posted) if one.prompt_id}
