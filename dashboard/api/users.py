"""Who used what: ``/api/v1/users/usage``, ``…/days`` and ``…/budgets``."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web

from config.settings import Group, Settings, User
from dashboard.api import local_days
from dashboard.api.asking import (
    Asker,
    Clock,
    Refused,
    Span,
    Who,
    answer,
    asker,
    choice,
    number,
    page,
    refusing,
    span,
)
from dashboard.api.described import PAGE, SPAN, Described, inquiry, read
from dashboard.api.users_shapes import (
    Budget,
    Budgets,
    DaySeries,
    Usage,
    UsageDays,
    UsageRow,
    UsageTotal,
    Used,
)
from dashboard.insight.names import Names, stem
from dashboard.looks import looked_at
from store.records import By, UsageSum
from store.users import SqlUsers
from store.waits import SqlWaits, Waits, quantile_ms

_HOUR_US: Final = 3_600_000_000
#: Names whose days are told apart, where not told otherwise and at most.
_APART: Final = 8
_MOST_APART: Final = 50
#: Days of longer spans would be a very long file, and no chart.
_MOST_DAYS: Final = 400
_DAY_SUMS: Final = ("gpu_us", "byte_ms", "energy_mj", "jobs")
_SUMS: Final = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")


class Users:
    """Admins see everybody's usage; others, their own and what the whole pool did."""

    def __init__(
        self,
        users: SqlUsers,
        waits: SqlWaits,
        names: Names,
        settings: Callable[[], Settings],
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._users = users
        self._waits = waits
        self._names = names
        self._settings = settings
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/users/usage", refusing(self.usage)),
            web.get("/api/v1/users/days", refusing(self.days)),
            web.get("/api/v1/users/budgets", refusing(self.budgets)),
        ]

    async def usage(self, request: web.Request) -> web.Response:
        """By ``?by=``, of everybody or of ``?user=``."""
        asking, wanted, by = self._asked(request)
        user, seen = self._whose(request, asking), page(request)
        sums = await self._users.sums(wanted.from_ms, wanted.until_ms, by, user=user)
        waits = await self._waits.counts(wanted.from_ms, wanted.until_ms, by, user=user)
        everybody = sums
        if user is not None:
            everybody = await self._users.sums(wanted.from_ms, wanted.until_ms)
        some = sums[seen.start : seen.start + seen.rows]
        titles = await self._titles(by, [one.name for one in some])
        body: Usage = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "by": by.value,
            "count": len(sums),
            "rows": [_row(one, titles[one.name], waits.get(one.name, Counter())) for one in some],
            "total": _total(sums, waits.values()),
            "everybody": {
                "gpu_us": sum(one.gpu_us for one in everybody),
                "jobs": sum(one.jobs for one in everybody),
            },
        }
        return answer(request, body)

    async def days(self, request: web.Request) -> web.Response:
        """The same by day, in columns; ``?apart=`` names have their own."""
        asking, wanted, by = self._asked(request)
        user = self._whose(request, asking)
        apart = number(request, "apart", _APART, least=1, most=_MOST_APART)
        zone = self.zone()
        sums = await day_sums(self._users, wanted, by, user, zone)
        days = local_days.names(wanted.from_ms, wanted.until_ms, zone)
        ranked = sorted(sums, key=lambda name: (-_all_time(sums[name]), name))
        titles = await self._titles(by, ranked[:apart])
        rest = ranked[apart:]
        others: dict[str, Counter[str]] = defaultdict(Counter)
        for name in rest:
            for day, one in sums[name].items():
                others[day].update(one)
        body: UsageDays = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "by": by.value,
            "zone": zone.key,
            "days": days,
            "series": [_series(name, titles[name], days, sums[name]) for name in ranked[:apart]],
            "others_count": len(rest),
            "others": _series("", f"{len(rest)} others", days, others) if rest else None,
        }
        return answer(request, body)

    async def budgets(self, request: web.Request) -> web.Response:
        """Of this month: everybody's, or one's own and one's group's."""
        asking, zone = asker(self._who, request), self.zone()
        begin, now_ms = self._month(zone)
        settings = self._settings()
        used = {
            kind: {one.name: one.gpu_us for one in await self._users.sums(begin, now_ms + 1, by)}
            for kind, by in (("user", By.USER), ("group", By.GROUP))
        }
        own = next((one for one in settings.users if one.name == asking.user), None)
        found = [
            *(_budget("user", one, used["user"]) for one in settings.users),
            *(_budget("group", one, used["group"]) for one in settings.groups),
        ]
        mine = {("user", asking.user), ("group", own.group if own else "")}
        shown = [
            one
            for one in found
            if one is not None and (asking.sees_all or (one["of"], one["name"]) in mine)
        ]
        body: Budgets = {
            "month": f"{datetime.fromtimestamp(begin / 1000, UTC).astimezone(zone):%Y-%m}",
            "zone": zone.key,
            "budgets": sorted(shown, key=lambda one: (-_fullness(one), one["of"], one["name"])),
        }
        return answer(request, body)

    def zone(self) -> ZoneInfo:
        """Where days and months begin."""
        return ZoneInfo(self._settings().scheduler.rhythm_zone)

    def _asked(self, request: web.Request) -> tuple[Asker, Span, By]:
        by = By(choice(request, "by", tuple(one.value for one in By), By.USER.value))
        return asker(self._who, request), whole_hours(span(request, self._clock)), by

    def _whose(self, request: web.Request, asking: Asker) -> str | None:
        user = asking.only(request.query.get("user"))
        if user is not None:
            looked_at(request, f"user:{user}", user)
        return user

    def _month(self, zone: ZoneInfo) -> tuple[int, int]:
        now_ms = int(self._clock() * 1000)
        now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
        start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(start.timestamp() * 1000), now_ms

    async def _titles(self, by: By, names: Sequence[str]) -> Mapping[str, str]:
        if by is By.WORKFLOW:
            return {"": ""} | await self._names.of(names)
        return {name: stem(name) if by is By.MODEL else name for name in names}


def whole_hours(wanted: Span) -> Span:
    """Usage is kept by the hour: the first and the last one count as a whole."""
    hour = local_days.HOUR_MS
    return Span(wanted.from_ms - wanted.from_ms % hour, -(-wanted.until_ms // hour) * hour)


async def day_sums(
    users: SqlUsers, wanted: Span, by: By, user: str | None, zone: ZoneInfo
) -> dict[str, dict[str, Counter[str]]]:
    """Name → day → sums, each exact.

    Raises:
        Refused: these are very many days.
    """
    if wanted.until_ms - wanted.from_ms > _MOST_DAYS * local_days.DAY_MS:
        raise Refused(400, f"Days apart: at most {_MOST_DAYS} of them at once.")
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for begin, end, ahead in local_days.stretches(wanted.from_ms, wanted.until_ms, zone):
        part = await users.sums(begin, end, by, user=user, each_ms=local_days.DAY_MS, zone_ms=ahead)
        for one in part:
            day = local_days.name_of(one.at_ms or 0, ahead)
            found[one.name][day].update({name: getattr(one, name) for name in _SUMS})
    return found


def _all_time(days: Mapping[str, Counter[str]]) -> int:
    return sum(one["gpu_us"] for one in days.values())


def _series(
    name: str, title: str, days: Sequence[str], sums: Mapping[str, Counter[str]]
) -> DaySeries:
    nothing: Counter[str] = Counter()
    columns = {key: [sums.get(day, nothing)[key] for day in days] for key in _DAY_SUMS}
    series: Any = {"name": name, "title": title, **columns}
    told: DaySeries = series
    return told


def _used(one: UsageSum) -> Used:
    return {
        "gpu_us": one.gpu_us,
        "byte_ms": one.byte_ms,
        "cost_us": one.cost_us,
        "energy_mj": one.energy_mj,
        "jobs": one.jobs,
        "failed": one.failed,
        "wait_ms": one.wait_ms,
    }


def _row(one: UsageSum, title: str, waits: Waits) -> UsageRow:
    return {
        "name": one.name,
        "title": title,
        **_used(one),
        "wait_p50_ms": quantile_ms(waits, 0.5),
        "wait_p95_ms": quantile_ms(waits, 0.95),
    }


def _total(sums: Sequence[UsageSum], waits: Iterable[Waits]) -> UsageTotal:
    added = {name: sum(getattr(one, name) for one in sums) for name in _SUMS}
    everything: Waits = Counter()
    for one in waits:
        everything.update(one)
    return {
        **_used(UsageSum(name="", at_ms=None, **added)),
        "wait_p50_ms": quantile_ms(everything, 0.5),
        "wait_p95_ms": quantile_ms(everything, 0.95),
    }


def _budget(of: str, one: User | Group, used: Mapping[str, int]) -> Budget | None:
    """What the settings say of it beside what was used; None: there is no budget."""
    if one.budget is None and one.budget_soft is None:
        return None
    micros = used.get(one.name, 0)
    # as the scheduler compares them (``scheduler.budgets.within``)
    soft = one.budget_soft is not None and micros >= one.budget_soft * _HOUR_US
    spent = one.budget is not None and micros >= one.budget * _HOUR_US
    return {
        "of": of,
        "name": one.name,
        "used_us": micros,
        "soft_us": None if one.budget_soft is None else round(one.budget_soft * _HOUR_US),
        "hard_us": None if one.budget is None else round(one.budget * _HOUR_US),
        "state": "spent" if spent else "soft" if soft else "ok",
    }


def _fullness(one: Budget) -> float:
    limit = one["hard_us"] if one["hard_us"] is not None else one["soft_us"]
    return one["used_us"] / limit if limit else 1.0


BY: Final = inquiry(
    "by", "What usage is added up by.", {"type": "string", "enum": [one.value for one in By]}
)
USER: Final = inquiry("user", "Only this user's; for admins.")


def describe() -> Described:
    """For the document of the API."""
    apart = inquiry(
        "apart",
        "So many names have their own column.",
        {"type": "integer", "minimum": 1, "maximum": _MOST_APART},
    )
    return Described(
        {
            "/api/v1/users/usage": {
                "get": read("Who used what, in whole numbers", Usage, *SPAN, BY, USER, *PAGE)
            },
            "/api/v1/users/days": {
                "get": read("The same by day", UsageDays, *SPAN, BY, USER, apart)
            },
            "/api/v1/users/budgets": {"get": read("Budgets of this month", Budgets)},
        },
        (Usage, UsageDays, Budgets),
    )
