"""What the agent costs beside eight workers: processor time, while they rest and while they work."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bench.gpu import rows
from bench.gpu.clients import wait_all
from bench.gpu.jobs import mix
from bench.gpu.setting import Setting
from bench.gpu.shared import plan, post
from bench.gpu.studio import Studio
from bench.machine import cpu_seconds, rss_bytes

_WORKERS: Final = 8
#: how long it is watched at rest, seconds
_REST_S: Final = 20.0
#: after the workers have come up, until nothing of that is left, seconds
_SETTLE_S: Final = 5.0


async def agent_cost(setting: Setting) -> None:
    """At rest, then through the mix."""
    jobs = mix(setting.order, rehearsal=setting.cpu)
    async with Studio.open(setting.place("agent"), plan(setting, _WORKERS)) as studio:
        pid = studio.stack.pids()["agent"]
        await asyncio.sleep(_SETTLE_S)
        began, used = time.monotonic(), cpu_seconds(pid)
        await asyncio.sleep(_REST_S)
        rest = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        began, used = time.monotonic(), cpu_seconds(pid)
        with setting.card.sampled() as samples:
            posted = await post(studio, jobs, 1)
            await wait_all(posted, setting.limit_s)
        work = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        facts = {"rest": round(rest, 4), "work": round(work, 4), "rss_bytes": rss_bytes(pid)}
        row = rows.outcome(posted, samples)
        setting.note("agent", {"workers": _WORKERS, "round": 1, **row, "facts": facts})
