"""What the store keeps of the owner, and the dashboard over it, as ``vramgate gateway`` mounts it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.gateway import may_scrape
from cli.trial import trier
from config.settings import Role
from dashboard import app as dashboard
from dashboard.history.account import account
from dashboard.metrics.page import MetricsPage
from dashboard.perf_json.report import PLACE
from dashboard.reading import reading
from gateway.context import Services, identity
from gateway.request_metrics import RequestMetrics
from store import history_schema, schema
from store.advice import FoundAdvice, SqlAdvice
from store.engine import open_engine
from store.migrate import migrate
from store.tallies import SqlTallies
from tests.integration.history.rows import (
    alert_row,
    attempt_row,
    fill,
    job_row,
    node_row,
    sample_row,
)
from tests.isolation.estate import NAME, SECRET
from tests.operations import Done

#: the owner's job that is kept
KEPT = f"{NAME}-kept"
#: and advice on it
ADVICE = f"{NAME}-advice"
Pages = Callable[[Services], dict[str, web.Application]]


async def open_kept(folder: Path) -> AsyncEngine:
    """A store in which ann has a job with everything about it, half an hour old."""
    engine = open_engine(f"sqlite:///{folder / 'kept.sqlite'}")
    await migrate(engine)
    ended_ms = int(time.time() * 1000) - 1_800_000
    bodies = {"prompt": f'{{"1": "{SECRET}"}}'.encode(), "result": f'"{SECRET}"'.encode()}
    fingerprint = f"{NAME}-workflow"
    kept = job_row(KEPT, ended_ms, fingerprint=fingerprint, ooms=1, **bodies)
    await fill(engine, schema.jobs, [kept])
    await fill(engine, schema.attempts, [attempt_row(KEPT, ended_ms)])
    await fill(
        engine, history_schema.node_runs, [node_row(KEPT, ended_ms - 9_000, capture="a-picture")]
    )
    samples = [sample_row(ended_ms - 1000 * n) for n in range(10)]
    await fill(engine, history_schema.gpu_samples, samples)
    await account(engine, ended_ms)
    await SqlAdvice(engine).replace(
        [_advice(ADVICE, ("ann",)), _advice("shared-advice", ("ann", "bob"))], ended_ms
    )
    await fill(engine, history_schema.alerts, [alert_row(f"{NAME}-alert", ended_ms, job=KEPT)])
    return engine


def _advice(advice_id: str, users: tuple[str, ...]) -> FoundAdvice:
    """Ann's alone, or (of others, too) one that shows jobs and workflows of all of them."""
    flows = [f"{NAME}-workflow"] + ["flow-of-bob"] * (len(users) > 1)
    about = {"fingerprints": flows, "classes": [], "models": [], "gpus": [], "workers": []}
    words = NAME if users == ("ann",) else "Two people's"
    body = {
        "subject": f"{NAME}/x", "title": f"{words} nodes fell back", "cause": "c", "remedies": ["r"],
        "gain_in": "gpu_time", "effect": {"value": 2.0, "low": 1.5, "high": 3.0, "unit": "×"},
        "proof": {"test": "t", "p_value": 0.001, "shown": 5, "compared": 9}, "figures": [],
        "charts": [], "about": about, "users": list(users),
        "jobs": [{"job": KEPT, "user": "ann", "at_ms": 1, "note": "n"}],
    }  # fmt: skip
    return FoundAdvice(
        id=advice_id, kind="vae_fallback", gain=90.0, gain_low=60.0, gain_high=120.0, users=users,
        body=body,
    )  # fmt: skip


async def _picture(worker: str, picture: str) -> bytes | None:
    """What a worker's probe keeps of the owner's."""
    return SECRET.encode()


async def _taken(_id: str) -> None:
    """A jobs' queue that nobody works off."""


def pages_over(engine: AsyncEngine, static: Path) -> Pages:
    """The dashboard over that store, with pages that need no building."""
    static.mkdir()
    (static / "index.html").write_text("<!doctype html>")
    (static / "report.html").write_text(f"<!doctype html>{PLACE}")

    def who(request: web.Request) -> tuple[str, Role]:
        return identity(request).user, identity(request).role

    def pages(services: Services) -> dict[str, web.Application]:
        kept = reading(engine, time.time, lambda: uuid.uuid4().hex)
        app = dashboard.build(
            services.ledger,
            services.settings,
            who,
            try_out=trier(services),
            reading=kept,
            ask_what_if=_taken,
            captures=_picture,
            operations=Done(services.settings, logs={"host-0": "a line"}).operations(),
            static=static,
        )
        metrics = MetricsPage(
            app[dashboard.SAMPLER],
            services.ledger,
            SqlTallies(engine),
            services.settings,
            version="1",
            may=may_scrape,
            own=RequestMetrics().registry,
            alerts=kept.alerts,
        )
        return {"/dashboard": app, "/metrics": metrics.app()}

    return pages


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    """The dashboard over a store in which the owner has something of each kind."""
    engine = await open_kept(tmp_path)
    yield pages_over(engine, tmp_path / "static")
    await engine.dispose()
