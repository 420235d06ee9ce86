"""An admin edits the config file while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from tests.clients import Client, Refused, sampling_prompt
from tests.endtoend.stack import Stack, free_port

ADA, NED = "key-of-ada-0001", "key-of-ned-0001"
BASE = f"auth: {{mode: keys}}\nusers:\n  - {{name: ada, role: admin, key: {ADA}}}\n"
WITH_NED = BASE + f"  - {{name: ned, key: {NED}}}\n"


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    return start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=5", config=BASE)


@pytest.fixture
async def ada(stack: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """The admin; what she queued is gone when the test is over."""
    client = Client(http, stack.url, {"Authorization": f"Bearer {ADA}"})
    yield client
    await client.post("/queue", {"clear": True})
    await client.post("/interrupt", {})


@pytest.fixture
def ned(stack: Stack, http: aiohttp.ClientSession) -> Client:
    return Client(http, stack.url, {"Authorization": f"Bearer {NED}"})


async def until(true: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.1)


async def put(stack: Stack, text: str) -> None:
    """Write other settings and wait until they are in force in gateway and scheduler.

    By their logs: asking with a key that is still wrong would make its address wait.
    """
    logs = [stack.data_dir / "logs" / f"{role}.log" for role in ("gateway", "scheduler")]
    before = [log.read_text().count("config_reloaded") for log in logs]

    async def reloaded() -> bool:
        now = [log.read_text().count("config_reloaded") for log in logs]
        return all(new > old for new, old in zip(now, before, strict=True))

    write(stack, text)
    await until(reloaded)


def write(stack: Stack, text: str) -> None:
    """In one step: half a file would be other settings, too."""
    fresh = stack.config.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(stack.config)


async def status(client: Client) -> int:
    async with client.http.get(client.url + "/queue", headers=client.headers) as answer:
        return answer.status


async def refusal(client: Client) -> str:
    """Why a prompt is refused; "" when it is taken."""
    try:
        await client.queue(sampling_prompt(steps=1))
    except Refused as refused:
        return str(refused.body["error"]["type"])
    return ""


def ned_with(limits: str = "") -> str:
    return BASE + f"  - {{name: ned, key: {NED}{limits}}}\n"


async def test_a_user_comes_in_with_the_file_and_goes_with_it(stack: Stack, ned: Client) -> None:
    assert await status(ned) == 401
    await put(stack, WITH_NED)
    assert await status(ned) == 200
    await put(stack, BASE)
    assert await status(ned) == 401


async def test_a_port_of_ones_own_opens_and_closes_with_the_file(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    theirs = Client(http, f"http://127.0.0.1:{port}")

    async def answers() -> bool:
        try:
            return await status(theirs) == 200
        except aiohttp.ClientConnectorError:
            return False

    await put(stack, ned_with(f", port: {port}"))
    await until(answers)
    prompt_id = await theirs.queue(sampling_prompt(steps=1))
    await theirs.ended(prompt_id)
    await put(stack, WITH_NED)

    async def closed() -> bool:
        return not await answers()

    await until(closed)
    await put(stack, BASE)


async def test_a_broken_file_is_told_once_and_changes_nothing(stack: Stack, ned: Client) -> None:
    await put(stack, WITH_NED)
    write(stack, BASE + "schedular: {}\n")

    async def told_by_all() -> bool:
        roles = ("gateway", "scheduler", "agent", "recorder")
        logs = [stack.data_dir / "logs" / f"{role}.log" for role in roles]
        return all("config_refused" in log.read_text() for log in logs)

    await until(told_by_all)
    assert await status(ned) == 200
    assert stack.log.read_text().count("did you mean `scheduler`") == 1


async def test_limits_of_the_file_hold_for_the_next_prompt(stack: Stack, ada: Client) -> None:
    await put(stack, BASE + "admission: {max_job_bytes: 1MiB}\n")
    assert await refusal(ada) == "over_memory_limit"
    await put(stack, BASE.replace("role: admin", "role: admin, max_queued: 1"))
    await ada.queue(sampling_prompt(steps=10_000))
    assert await refusal(ada) == "queue_full"
    await put(stack, BASE)
    assert await asyncio.gather(refusal(ada), refusal(ada)) == ["", ""]


async def test_the_scheduler_goes_by_the_new_limit_of_running_jobs(
    stack: Stack, ada: Client
) -> None:
    await put(stack, BASE.replace("role: admin", "role: admin, max_running: 1"))
    # of two models: a second copy of one is not worth its load beside a running job
    for seed in range(6):
        model = ("sd15.safetensors", "v1-5-pruned-emaonly-fp16.safetensors")[seed % 2]
        await ada.queue(sampling_prompt(seed, steps=2000, checkpoint=model))

    async def one_waits_for_the_limit() -> bool:
        page = await ada.get("/dashboard/api/v1/overview")
        return "cap" in [job["wait_reason"] for job in page["waiting"]]

    async def two_run() -> bool:
        return len((await ada.get("/queue"))["queue_running"]) == 2

    await until(one_waits_for_the_limit)
    assert not await two_run()
    await put(stack, BASE)
    await until(two_run)
