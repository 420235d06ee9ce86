"""``/metrics``: the pool, what has happened, and this gateway's own figures, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog
from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from dashboard.metrics import health, pool
from dashboard.metrics.families import kept
from dashboard.metrics.health import Health
from dashboard.metrics.pool import Moment
from dashboard.sample import Held
from dashboard.sampler import Sampler
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.placement import Safety
from scheduler.states import Snapshot
from store.alerts import Firing
from store.tallies import Key

_log = structlog.get_logger()

#: What was told so long ago is told again: a scraper that asks more often costs nothing more.
FRESH_SECONDS: Final = 1.0
#: The version of the text format that nobody has to ask for.
_PLAIN: Final = "text/plain"
_REFUSED: Final = (
    "Only admins and holders of the metrics token may read this: set metrics.token_file, and let "
    "the scraper show it as Authorization: Bearer.\n"
)


class Alerts(Protocol):
    """What the recorder has found of alert rules (``store.alerts``)."""

    async def counts(self) -> Sequence[Firing]:
        """How many fire and are not muted, by rule and severity."""
        ...

    async def looked_ms(self) -> int | None:
        """When rules were last looked at; None: never."""
        ...


class Counts(Protocol):
    """The store's counts (``store.tallies``)."""

    async def read(self) -> dict[Key, int]:
        """All of them."""
        ...


class Collecting(Protocol):
    """A registry of prometheus-client."""

    def collect(self) -> Iterable[Metric]:
        """What it has now."""
        ...


class MetricsPage:
    """Answers scrapes; what they cost does not grow with their number."""

    def __init__(
        self,
        sampler: Sampler,
        ledger: Ledger,
        counts: Counts,
        settings: Callable[[], Settings],
        *,
        version: str,
        may: Callable[[web.Request], bool],
        own: Collecting,
        alerts: Alerts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the page.

        Args:
            sampler: the dashboard's; both read the ledger once.
            ledger: for what the sampler does not read.
            counts: what has happened.
            settings: the settings now in force.
            version: this program's.
            may: whether whoever asks may read this.
            own: the process's own figures.
            alerts: what fires; None: nobody looks.
            clock: any seconds that grow.
        """
        self._sampler = sampler
        self._ledger = ledger
        self._counts = counts
        self._settings = settings
        self._version = version
        self._may = may
        self._own = own
        self._alerts = alerts
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._families: list[Metric] = []
        #: by content type
        self._texts: dict[str, bytes] = {}

    def app(self) -> web.Application:
        """The page as an application, to be mounted where it is to be found."""
        app = web.Application()
        app.router.add_get("", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        """All figures, in the form that the scraper asks for."""
        if not self._may(request):
            return web.Response(status=403, text=_REFUSED)
        encode, content_type = choose_encoder(request.headers.get("Accept", _PLAIN))
        async with self._reading:
            if self._clock() - self._read_at >= FRESH_SECONDS:
                self._families, self._texts = await self._read(), {}
                self._read_at = self._clock()
            if content_type not in self._texts:
                self._texts[content_type] = encode(_Told(self._families))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return web.Response(body=self._texts[content_type], headers=headers)

    async def _read(self) -> list[Metric]:
        settings = self._settings()
        name = settings.redis.pool
        found: list[Metric] = []
        if await self._sampler.refresh(FRESH_SECONDS) is not None:
            moment = self._sampler.moment
            if moment is not None:
                found += pool.families(_moment(settings, *moment))
        stored = await self._stored()
        found += kept(name, stored.counts) if stored is not None else []
        found += health.families(await self._health(name, stored))
        return [*found, *self._own.collect()]

    async def _stored(self) -> Stored | None:
        """None: the store is away. Then nothing is told, which is a gap and no reset."""
        try:
            counts = await self._counts.read()
            if self._alerts is None:
                return Stored(counts=counts)
            firing = {(one.rule, one.severity): one.count for one in await self._alerts.counts()}
            return Stored(counts=counts, firing=firing, looked_ms=await self._alerts.looked_ms())
        except (SQLAlchemyError, OSError) as error:
            _log.warning("metrics_without_store", error=type(error).__name__)
            return None

    async def _health(self, name: str, stored: Stored | None) -> Health:
        asked = Health(
            pool=name,
            version=self._version,
            now_ms=None,
            store_up=stored is not None,
            firing=stored.firing if stored is not None else {},
            looked_ms=stored.looked_ms if stored is not None else None,
        )
        try:
            found = await self._ledger.pool()
            return replace(
                asked,
                now_ms=found.now_ms,
                streams=await self._ledger.streams(),
                trust=await self._ledger.trust(),
                gateways=len(found.gateways),
            )
        except LedgerUnavailable:
            return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the store tells."""

    counts: Mapping[Key, int]
    firing: Mapping[tuple[str, str], int] = field(default_factory=dict)
    looked_ms: int | None = None


class _Told:
    """Families in the place of a registry."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _moment(settings: Settings, snapshot: Snapshot, held: Sequence[Held]) -> Moment:
    names = frozenset(user.name for user in settings.users) if settings.metrics.users else ()
    return Moment(
        pool=settings.redis.pool,
        snapshot=snapshot,
        held=held,
        silent_ms=int(settings.scheduler.heartbeat * 1000),
        safety=Safety(settings.admission.safety_share, settings.admission.safety_min),
        users=frozenset(names),
    )
