"""Who is in whose way: ``/api/v1/contention`` and ``/api/v1/contention/week``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from config.settings import Settings
from dashboard.api.asking import Asker, Clock, Who, answer, asker, refusing, span
from dashboard.api.contention_shapes import BlockedRow, Contention, NearMissRow, Week
from dashboard.api.described import SPAN, Described, read
from dashboard.api.users import whole_hours
from dashboard.insight.names import Names
from dashboard.overview import OTHERS
from store.contention import Blocked, NearMiss, SqlContention

#: The heat map is a mean over weeks: four, where not told otherwise.
_WEEKS_MS: Final = 28 * 86_400_000
#: Rows of each list at most.
_MOST_BLOCKED: Final = 500
_MOST_PEAKS: Final = 24
_MOST_MISSES: Final = 200


class Contentions:
    """What GPUs and queue did is everybody's to see; who waited for whom, only admins'."""

    def __init__(
        self,
        contention: SqlContention,
        names: Names,
        settings: Callable[[], Settings],
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._contention = contention
        self._names = names
        self._settings = settings
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/contention", refusing(self.contention)),
            web.get("/api/v1/contention/week", refusing(self.week)),
        ]

    async def contention(self, request: web.Request) -> web.Response:
        """Waits and their blockers, peaks, least free memory, near misses."""
        asking, wanted = asker(self._who, request), whole_hours(span(request, self._clock))
        ends, user = (wanted.from_ms, wanted.until_ms), asking.only()
        everything = await self._contention.blocked(*ends, by_user=True)
        misses = await self._contention.near_misses(*ends, _MOST_MISSES, user=user)
        body: Contention = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "blocked": _blocked(everything, asking)[:_MOST_BLOCKED],
            "blocked_ms": sum(one.job_ms for one in everything),
            "peaks": [
                {
                    "at_ms": one.at_ms,
                    "most_queued": one.most_queued,
                    "most_running": one.most_running,
                    "longest_wait_ms": one.longest_wait_ms,
                }
                for one in await self._contention.peaks(*ends, _MOST_PEAKS)
                if one.most_queued
            ],
            "least_free": [
                {
                    "gpu": one.gpu,
                    "at_ms": one.at_ms,
                    "free_bytes": one.free_bytes,
                    "foreign_bytes": one.foreign_bytes,
                    "total_bytes": one.total_bytes,
                }
                for one in await self._contention.least_free(*ends)
            ],
            "near_misses": await self._near(misses),
        }
        return answer(request, body)

    async def week(self, request: web.Request) -> web.Response:
        """Each hour of the week, over the span's weeks."""
        wanted = whole_hours(span(request, self._clock, _WEEKS_MS))
        zone = self._settings().scheduler.rhythm_zone
        hours = await self._contention.week(wanted.from_ms, wanted.until_ms, zone)
        body: Week = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "zone": zone,
            "hours": [
                {
                    "weekday": one.weekday,
                    "hour": one.hour,
                    "queued": one.queued,
                    "running": one.running,
                    "held": one.held,
                    "utilisation": one.utilisation,
                }
                for one in hours
            ],
        }
        return answer(request, body)

    async def _near(self, misses: Sequence[NearMiss]) -> list[NearMissRow]:
        titles = await self._names.of({one.fingerprint for one in misses})
        return [
            {
                "job": one.job,
                "user": one.user,
                "fingerprint": one.fingerprint,
                "title": titles.get(one.fingerprint, ""),
                "gpu": one.gpu,
                "ended_ms": one.ended_ms,
                "reserved_bytes": one.reserved_bytes,
                "peak_bytes": one.peak_bytes,
                "ooms": one.ooms,
            }
            for one in misses
        ]


def _blocked(rows: Sequence[Blocked], asking: Asker) -> list[BlockedRow]:
    """What the asker may see of it: other people are one to whom they are nobody's business."""
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for one in rows:
        if not asking.sees_all and one.user != asking.user:
            continue
        kind, _, name = one.blocker.partition(":")
        if kind == "user" and not asking.sees_all and name != asking.user:
            name = OTHERS
        sums[one.user, one.reason, kind, name] += one.job_ms
    return [
        {"user": user, "reason": reason, "blocker_kind": kind, "blocker": name, "job_ms": job_ms}
        for (user, reason, kind, name), job_ms in sums.most_common()
    ]


def describe() -> Described:
    """For the document of the API."""
    return Described(
        {
            "/api/v1/contention": {
                "get": read("Who is in whose way, peaks and near misses", Contention, *SPAN)
            },
            "/api/v1/contention/week": {"get": read("The week's pattern", Week, *SPAN)},
        },
        (Contention, Week),
    )
