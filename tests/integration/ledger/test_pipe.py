"""The shared connection for small questions: right answers in any crowd, and what breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from cli.valkey import EmbeddedValkey
from scheduler.ledger import LedgerUnavailable
from scheduler.redis_connection import Connection
from scheduler.redis_ledger import RedisLedger
from scheduler.redis_pipe import Pipe, PipeBroken
from tests.factories import new_job


def pipe_to(url: str, timeout_s: float = 5.0) -> Pipe:
    found = Pipe.beside(Redis.from_url(url, protocol=2), timeout_s)
    assert found is not None
    return found


@pytest.fixture
async def pipe(valkey_url: str) -> AsyncIterator[Pipe]:
    made = pipe_to(valkey_url)
    yield made
    made.close()


async def test_each_of_many_gets_its_own_answer(pipe: Pipe) -> None:
    asked = [f"question {n}" * (n % 50 + 1) for n in range(2000)]
    answers = await asyncio.gather(*(pipe.ask(["ECHO", text]) for text in asked))
    assert answers == [text.encode() for text in asked]


async def test_who_goes_away_takes_nobody_elses_answer_along(pipe: Pipe) -> None:
    await pipe.ask(["PING"])
    tasks = [asyncio.create_task(pipe.ask(["ECHO", str(n)])) for n in range(30)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for n, answer in enumerate(answers):
        assert isinstance(answer, asyncio.CancelledError) if n % 3 == 0 else answer == b"%d" % n


async def test_an_error_is_told_to_who_asked_alone(pipe: Pipe) -> None:
    asked = (["ECHO", "a"], ["HGET", "only one word"], ["HGET", "no such key", "field"])
    found = await asyncio.gather(*(pipe.ask(words) for words in asked), return_exceptions=True)
    assert (found[0], found[2]) == (b"a", None)
    assert isinstance(found[1], PipeBroken)
    assert await pipe.ask(["ECHO", "b"]) == b"b"


async def test_it_connects_again_after_the_server_hung_up(pipe: Pipe, valkey_url: str) -> None:
    number = await pipe.ask(["CLIENT", "ID"])
    with redis.Redis.from_url(valkey_url) as other:
        other.client_kill_filter(_id=str(number))
    with pytest.raises(PipeBroken):
        await pipe.ask(["BLPOP", "nothing", 1])
    assert await pipe.ask(["ECHO", "a"]) == b"a"


async def test_an_answer_that_does_not_come_breaks_it_for_all_who_wait(valkey_url: str) -> None:
    pipe = pipe_to(valkey_url, timeout_s=0.2)
    waiting = asyncio.create_task(pipe.ask(["BLPOP", "nothing", 30]))
    with pytest.raises(PipeBroken):
        await waiting
    with pytest.raises(PipeBroken, match="a moment ago"):
        await pipe.ask(["ECHO", "a"])
    async with asyncio.timeout(30):
        while True:
            try:
                assert await pipe.ask(["ECHO", "a"]) == b"a"
            except PipeBroken:
                await asyncio.sleep(0.05)
            else:
                break
    pipe.close()


async def test_user_password_and_database_are_those_of_the_url(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        path = server.url.removeprefix("unix://")
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "open sesame")
        url = f"unix://default:open%20sesame@{path}?db=3"
        with redis.Redis.from_url(url) as other:
            other.set("where", "three")
        pipe = pipe_to(url)
        assert await pipe.ask(["GET", "where"]) == b"three"
        pipe.close()
        wrong = pipe_to(f"unix://default:wrong@{path}")
        with pytest.raises(PipeBroken):
            await wrong.ask(["GET", "where"])


async def test_answers_have_the_form_that_redis_py_gives_them(valkey_url: str) -> None:
    asked = (
        ("HSET", "shape:h", "field", "value"),
        ("SADD", "shape:s", "one", "two"),
        ("ZADD", "shape:z", 1.5, "member"),
        ("SET", "shape:t", "text", "EX", 9),
        ("HGETALL", "shape:h"),
        ("HMGET", "shape:h", "field", "none"),
        ("SMEMBERS", "shape:s"),
        ("ZRANGE", "shape:z", 0, -1),
        ("ZSCORE", "shape:z", "member"),
        ("EXISTS", "shape:t"),
        ("TIME",),
    )
    connection = Connection(valkey_url, patience_s=1)
    async with Redis.from_url(valkey_url, protocol=2) as client:
        plain = client.pipeline(transaction=False)
        for words in asked:
            plain.execute_command(*words)
        expected = (await plain.execute())[:-1]
        await client.delete("shape:h", "shape:s", "shape:z", "shape:t")
    assert (await connection.pipeline(asked))[:-1] == expected
    for words, one in zip(asked[4:-1], expected[4:], strict=True):
        assert await connection.command(*words) == one
    await connection.close()


async def test_an_error_among_several_is_told_as_redis_py_tells_it(valkey_url: str) -> None:
    connection = Connection(valkey_url, patience_s=1)
    await connection.command("SET", "shape:text", "x")
    for _ in range(2):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await connection.pipeline([("GET", "shape:text"), ("HGETALL", "shape:text")])
        assert await connection.pipeline([("GET", "shape:text")]) == [b"x"]
    await connection.close()


@pytest.mark.parametrize("url", ["rediss://host", "redis+cluster://host:1", "redis+sentinel://h/m"])
async def test_tls_clusters_and_sentinels_are_left_to_redis_py(url: str) -> None:
    connection = Connection(url, patience_s=0.1)
    assert connection._pipe is None
    await connection.close()


async def test_while_the_server_is_away_it_is_waited_for_and_then_told(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    ledger = RedisLedger.connect(server.url, "p", patience_s=0.3)
    await ledger.submit(new_job(), b"{}", max_queued=None)
    before = await ledger.changed("ann")
    server.stop()
    with pytest.raises(LedgerUnavailable):
        await ledger.changed("ann")
    server = EmbeddedValkey(tmp_path)
    with server:
        assert await ledger.changed("ann") == before != ""
        await ledger.close()
