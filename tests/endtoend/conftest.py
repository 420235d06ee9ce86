"""Whole stacks, started once per module where tests do not break them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.clients import Client
from tests.endtoend.stack import Stack

ANN, BOB, ADA = "key-of-ann-0001", "key-of-bob-0001", "key-of-ada-0001"

KEYS = f"""
auth: {{mode: keys}}
users:
  - {{name: ann, group: film, key: {ANN}, url_key: url-{ANN}}}
  - {{name: bob, group: games, key: {BOB}}}
  - {{name: ada, role: admin, key: {ADA}}}
  - {{name: vic, role: viewer, key: key-of-vic-0001}}
  - {{name: tom, key: key-of-tom-0001, max_bytes: 4GiB, max_queued: 2}}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # whole stacks start and restart, on cores that other tests want, too
        if "/endtoend/" in str(item.path) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Start stacks that are stopped when the module's tests are done."""
    with ExitStack() as running:

        def starter(*options: str, config: str | None = KEYS) -> Stack:
            folder: Path = tmp_path_factory.mktemp("stack")
            stack = Stack(folder, *options, config=config)
            running.callback(stack.stop)
            stack.start()
            return stack

        yield starter


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    """One simulated GPU with two fast workers, users with keys."""
    return start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=20")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def ann(stack: Stack, http: aiohttp.ClientSession) -> Client:
    return Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})


@pytest.fixture
def bob(stack: Stack, http: aiohttp.ClientSession) -> Client:
    return Client(http, stack.url, {"X-API-Key": BOB})


@pytest.fixture
def ada(stack: Stack, http: aiohttp.ClientSession) -> Client:
    return Client(http, stack.url, {"Authorization": f"Bearer {ADA}"})
