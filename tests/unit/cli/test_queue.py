"""``vramgate queue``: what it shows, and whom it believes to be meant."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from cli.errors import CliError
from cli.queue import app, find_job
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.redis_ledger import RedisLedger
from scheduler.states import NewJob
from tests.factories import new_job

Vramgate = Callable[..., str]


@pytest.fixture
def books() -> MemoryLedger:
    calls = itertools.count()
    return MemoryLedger(Books(lambda: 1_000_000, lambda: str(next(calls))))


async def submit(ledger: MemoryLedger | RedisLedger, *jobs: NewJob) -> None:
    for job in jobs:
        await ledger.submit(job, b"{}", max_queued=None)


async def test_a_job_is_found_whosever_it_is(books: MemoryLedger) -> None:
    job = new_job("bob")
    await submit(books, new_job("ann"), job)
    assert (await find_job(books, job.prompt_id, None)).id == job.id
    assert (await find_job(books, job.prompt_id, "bob")).id == job.id
    with pytest.raises(CliError, match="no unfinished job"):
        await find_job(books, job.prompt_id, "ann")


async def test_an_id_that_two_users_have_needs_a_name(books: MemoryLedger) -> None:
    await submit(books, new_job("ann", prompt_id="same"), new_job("bob", prompt_id="same"))
    with pytest.raises(CliError, match="ann, bob"):
        await find_job(books, "same", None)
    assert (await find_job(books, "same", "bob")).user == "bob"


async def test_a_job_that_has_ended_is_said_to_have(books: MemoryLedger) -> None:
    job = new_job("ann")
    await submit(books, job, new_job("ann"))
    await books.cancel("ann", job.id)
    with pytest.raises(CliError, match="CANCELLED"):
        await find_job(books, job.prompt_id, None)


@pytest.fixture
def vramgate(valkey_url: str, pool_name: str, monkeypatch: pytest.MonkeyPatch) -> Vramgate:
    """Runs ``vramgate queue …`` on the test's own pool; its output."""
    monkeypatch.setenv("VRAMGATE_REDIS__URL", valkey_url)
    monkeypatch.setenv("VRAMGATE_REDIS__POOL", pool_name)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, CliError):
            return f"error: {done.exception}"
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_queue_is_listed_and_changed_by_hand(
    valkey_url: str, pool_name: str, vramgate: Vramgate
) -> None:
    async def fill() -> None:
        ledger = RedisLedger.connect(valkey_url, pool_name)
        await submit(
            ledger,
            *(new_job("ann", prompt_id=name) for name in ("one", "two")),
            new_job("bob", prompt_id="three"),
        )
        await ledger.close()

    def listed(*arguments: str) -> list[str]:
        return [line.split(",")[0].split()[0] for line in vramgate("list", *arguments).splitlines()]

    assert vramgate("list") == "no unfinished jobs\n"
    asyncio.run(fill())
    assert listed() == ["ann", "one", "two", "bob", "three"]
    assert vramgate("front", "two") == "two of ann: front\n"
    assert listed("--user", "ann") == ["ann", "two", "one"]
    assert vramgate("hold", "two") == "two of ann: hold\n"
    assert vramgate("hold", "two") == "two of ann: hold, as it was\n"
    assert "two  queued, held" in vramgate("list")
    assert vramgate("unhold", "two") == "two of ann: unhold\n"
    assert vramgate("back", "two") == "two of ann: back\n"
    assert listed("--user", "ann") == ["ann", "one", "two"]
    assert vramgate("cancel", "one") == "one of ann: cancel\n"
    assert "has ended (CANCELLED)" in vramgate("cancel", "one")
    assert listed() == ["ann", "two", "bob", "three"]
