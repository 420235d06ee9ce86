"""A whole installation: what is nowhere to be read, and how it comes to life somewhere else."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients import Client, sampling_prompt
from tests.endtoend.conftest import ADA, ANN, KEYS
from tests.endtoend.stack import REPO, Stack

#: what ann wrote, and a key that her client sent along
TEXT = "a-zebra-in-the-fog-4711"
FOREIGN_KEY = "sk-of-ann-at-somebody-elses"
#: columns of the store that hold what a user posted and got, for that user's own history
OWN_BODIES = {("jobs", "prompt"), ("jobs", "result")}
#: what admins and the owner may ask the dashboard for
ANSWERS = (
    "overview",
    "jobs?user=ann",
    "jobs/{job}?user=ann",
    "jobs/{job}/node?node=6&user=ann",
    "jobs/{job}/perf?user=ann",
    "jobs/{job}/perf?user=ann&format=chrome",
    "perf",
    "perf?format=chrome",
    "report",
    "workflows",
    "queue",
    "samples/gpus",
    "contention",
    "users/usage",
    "audit",
    "audit/export?format=csv",
    "limits",
    "upkeep",
)


def secret_prompt() -> dict[str, Any]:
    graph = sampling_prompt(seed=4711, steps=3)
    graph["6"]["inputs"]["text"] = TEXT
    return graph


def dashboard(client: Client, path: str) -> str:
    return f"{client.url}/dashboard/api/v1/{path}"


async def recorded(client: Client, prompt_id: str) -> None:
    """Until the store has the job and its nodes."""
    async with asyncio.timeout(90):
        while True:
            url = dashboard(client, f"jobs/{prompt_id}")
            async with client.http.get(url, headers=client.headers) as answer:
                nodes = (await answer.json())["nodes"] if answer.status == 200 else []
                if {"3", "6"} <= {node["node"] for node in nodes if node["reached"]}:
                    return
            await asyncio.sleep(0.2)


def cells(database: Path, word: str) -> set[tuple[str, str]]:
    """Columns of the store in which a word stands, whatever packs it."""
    found = set()
    with closing(sqlite3.connect(database)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            for row in rows:
                found |= {
                    (table, name)
                    for name, value in zip(names, row, strict=True)
                    if word in _text(value)
                }
    return found


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return (gzip.decompress(value) if value[:2] == b"\x1f\x8b" else value).decode(
            "utf-8", "replace"
        )
    return str(value)


async def test_a_prompts_text_and_keys_are_nowhere_but_in_its_owners_own_body(
    stack: Stack, ann: Client, ada: Client
) -> None:
    body = {
        "prompt": secret_prompt(),
        "client_id": "tab-of-ann",
        "extra_data": {"api_key_comfy_org": FOREIGN_KEY},
    }
    async with ann.http.post(f"{ann.url}/prompt", json=body, headers=ann.headers) as answer:
        assert answer.status == 200, await answer.text()
        prompt_id = (await answer.json())["prompt_id"]
    await ann.ended(prompt_id)
    await recorded(ann, prompt_id)

    # the owner's own history has it, or nothing of this was looked for
    async with ann.http.get(f"{ann.url}/history/{prompt_id}", headers=ann.headers) as answer:
        assert TEXT in await answer.text()

    database = stack.data_dir / "vramgate.db"
    assert cells(database, TEXT) <= OWN_BODIES
    for word in (FOREIGN_KEY, ANN, ADA, f"url-{ANN}"):
        assert cells(database, word) == set(), word

    told: dict[str, str] = {}
    for path in ANSWERS:
        url = dashboard(ada, path.replace("{job}", prompt_id))
        async with ada.http.get(url, headers=ada.headers) as answer:
            told[path] = await answer.text()
            assert answer.status == 200, (path, told[path][:300])
    async with ada.http.get(f"{ada.url}/metrics", headers=ada.headers) as answer:
        told["/metrics"] = await answer.text()
    for log in [*sorted((stack.data_dir / "logs").rglob("*")), stack.log]:
        if log.is_file():
            told[log.name] = log.read_text(errors="replace")
    leaks = [
        (where, word)
        for where, text in told.items()
        for word in (TEXT, FOREIGN_KEY, ANN, ADA)
        if word in text
    ]
    assert leaks == []


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Stack]]:
    started = []

    def start(folder: Path) -> Stack:
        stack = Stack(folder, "--simulate", "gpus=1,vram=24GiB,workers=2,speed=20", config=KEYS)
        started.append(stack)
        stack.start()
        return stack

    yield start
    for stack in started:
        stack.stop()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=REPO, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


@pytest.mark.slow
async def test_a_backup_while_prompts_run_comes_to_life_in_another_folder(
    stack: Stack,
    ann: Client,
    http: aiohttp.ClientSession,
    second: Callable[[Path], Stack],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    done = [await ann.queue(sampling_prompt(seed=n, steps=2)) for n in range(3)]
    for prompt_id in done:
        await ann.ended(prompt_id)
    under_way = [await ann.queue(sampling_prompt(seed=50 + n, steps=400)) for n in range(6)]
    folder = tmp_path_factory.mktemp("elsewhere")
    target = folder / "b.tar"
    where = ["--data-dir", str(stack.data_dir), "--config", str(stack.config)]
    saved = await asyncio.to_thread(command, "backup", str(target), *where)
    assert saved.returncode == 0, saved.stderr

    there = ["--data-dir", str(folder / "data")]
    refused = await asyncio.to_thread(command, "restore", str(target), *where)
    assert refused.returncode == 1
    assert "stop it first" in refused.stderr
    checked = await asyncio.to_thread(command, "restore", str(target), "--check", *there)
    assert "whole" in checked.stdout, checked.stderr
    restored = await asyncio.to_thread(command, "restore", str(target), *there)
    assert restored.returncode == 0, restored.stderr
    again = await asyncio.to_thread(command, "restore", str(target), *there)
    assert "--force" in again.stderr

    other = Client(http, second(folder).url, ann.headers)
    for prompt_id in done:
        await other.ended(prompt_id)
    # what ran or waited runs again, under the same id, and ends once
    async with asyncio.timeout(90):
        for prompt_id in under_way:
            await other.ended(prompt_id)
    async with http.get(f"{other.url}/history", headers=ann.headers) as answer:
        history = json.loads(await answer.read())
    assert set(done + under_way) <= set(history)
