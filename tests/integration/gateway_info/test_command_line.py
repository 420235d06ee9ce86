"""Commands that ask a gateway with a key, or Redis and the store by themselves: the same answers."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.integration.gateway_info.conftest import Gateway, Start
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.estate import SETTINGS, Estate, settle
from tests.isolation.kept import KEPT, Pages
from tests.isolation.kept import pages as pages

Run = Callable[..., Awaitable[tuple[int, str]]]
_PATIENCE_S = 60


@pytest.fixture
async def estate(start: Start, pages: Pages) -> Estate:
    return await settle(await start(SETTINGS, workers=2, extra=pages))


def url_of(gateway: Gateway) -> str:
    return str(gateway.client.make_url("")).rstrip("/")


@pytest.fixture
def run(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, valkey_url: str, pool_name: str, tmp_path: Path
) -> Run:
    """Runs a command, as a user of the gateway or (None) on Redis and the store."""
    monkeypatch.setenv("VRAMGATE_REDIS__URL", valkey_url)
    monkeypatch.setenv("VRAMGATE_REDIS__POOL", pool_name)
    monkeypatch.setenv("VRAMGATE_STORE__URL", f"sqlite:///{tmp_path / 'kept.sqlite'}")

    async def invoke(*words: str, user: str | None = "ada") -> tuple[int, str]:
        more = [] if user is None else ["--url", url_of(estate.gateway)]
        environ = {} if user is None else {"VRAMGATE_KEY": f"key-of-{user}-01"}
        done = await asyncio.to_thread(
            CliRunner().invoke, app, [*words, *more], env=environ, terminal_width=200
        )
        return done.exit_code, str(done.exception or "") + done.output

    return invoke


async def told(run: Run, *words: str, user: str | None) -> Any:
    code, output = await run(*words, "--json", user=user)
    assert code == 0, output
    # lines of the log, which go elsewhere where the program itself runs
    return json.loads(output[output.index("{\n") :])


@pytest.mark.parametrize("user", ["ada", None])
async def test_an_admin_and_whoever_has_redis_see_all(run: Run, user: str | None) -> None:
    found = await told(run, "gpus", user=user)
    assert [gpu["id"] for gpu in found["gpus"]] == ["host-gpu"]
    assert {worker["id"] for worker in found["workers"]} == {"host-0", "host-1"}
    queue = await told(run, "queue", user=user)
    assert {job["user"] for job in queue["jobs"]} == {"ann"}
    assert queue["matching"] == len(queue["jobs"]) > 1
    jobs = await told(run, "job", "list", user=user)
    assert [job["id"] for job in jobs["jobs"]] == [KEPT]
    shown = await told(run, "job", "show", KEPT, user=user)
    assert shown["job"]["id"] == KEPT
    assert [node["class_type"] for node in shown["nodes"]] == ["KSampler"]


async def test_others_see_their_own(run: Run) -> None:
    queue = await told(run, "queue", user="bob")
    assert (queue["jobs"], queue["waiting"] > 0) == ([], True)
    assert await told(run, "job", "list", user="bob") == {
        "unfinished": [],
        "jobs": [],
        "next": None,
    }
    code, output = await run("job", "show", KEPT, user="bob")
    assert code == 1
    assert "no such job" in output.lower()


@pytest.mark.parametrize("user", ["ann", None])
async def test_a_job_is_cancelled_by_its_id(run: Run, estate: Estate, user: str | None) -> None:
    found = await told(run, "job", "cancel", estate.queued, user=user)
    assert (found["state"], found["changed"]) == ("CANCELLED", True)
    code, output = await run("job", "cancel", estate.queued, user=user)
    assert code == 1 or "cancelled" in output


@pytest.mark.parametrize("user", ["ada", None])
async def test_people_get_tables(run: Run, user: str | None) -> None:
    for words, expected in (
        (("gpus",), "host-0"),
        (("queue",), "ann"),
        (("job", "list"), "succeeded"),
        (("job", "show", KEPT), "KSampler"),
        (("top", "--once"), "running"),
    ):
        code, output = await run(*words, user=user)
        assert code == 0, output
        assert expected in output, output


async def test_a_wrong_key_and_a_wrong_url_say_what_to_do(run: Run, estate: Estate) -> None:
    for words in (("gpus",), ("top", "--once")):
        code, output = await run(*words, user="nobody")
        assert code == 1
        assert "VRAMGATE_KEY" in output
        assert "key-of-nobody" not in output
    away = CliRunner()
    done = await asyncio.to_thread(away.invoke, app, ["gpus", "--url", "http://127.0.0.1:9"])
    assert "does not answer" in str(done.exception)
    done = await asyncio.to_thread(away.invoke, app, ["gpus", "--url", "studio1"])
    assert "http://" in str(done.exception)


async def test_users_are_listed_as_json_without_their_keys(run: Run) -> None:
    code, output = await run("users", "add", "zoe", user=None)
    assert code == 0, output
    code, output = await run("users", "--json", user=None)
    (zoe,) = [one for one in json.loads(output)["users"] if one["name"] == "zoe"]
    assert zoe == {
        "name": "zoe",
        "group": "default",
        "role": "artist",
        "revoked": False,
        "has_key": True,
        "has_personal_url": False,
        "port": None,
        "networks": [],
        "from": "added",
    }
    assert "blake2b" not in output


async def test_top_draws_until_q_is_pressed_and_leaves_the_terminal_as_it_was(
    estate: Estate,
) -> None:
    ours, theirs = pty.openpty()
    environ = os.environ | {"VRAMGATE_KEY": "key-of-ada-01", "TERM": "xterm", "COLUMNS": "120"}
    words = [sys.executable, "-P", "-m", "cli.main", "top", "--url", url_of(estate.gateway)]
    process = subprocess.Popen(  # noqa: ASYNC220
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)

    def drive() -> bytes:
        seen, ends = b"", time.monotonic() + _PATIENCE_S
        while b"host" not in seen and time.monotonic() < ends:
            seen += os.read(ours, 65536)
        os.write(ours, b"q")
        while process.poll() is None and time.monotonic() < ends:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        process.wait(_PATIENCE_S)
        return seen

    try:
        seen = await asyncio.to_thread(drive)
    finally:
        process.kill()
        os.close(ours)
    assert process.returncode == 0, seen
    assert b"\x1b[?1049h" in seen  # the other screen, and back
    assert b"\x1b[?1049l" in seen
