"""Starting, stopping and what goes wrong around it, as whoever runs it sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.clients import Client, ends, image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN, KEYS
from tests.endtoend.stack import REPO, Stack, free_port
from tests.endtoend.test_bad_input import vramgate
from tests.endtoend.test_path import colour

SMALL = ("--simulate", "gpus=1,vram=8GiB,workers=1,speed=50")


def refusal(*arguments: str, folder: Path) -> str:
    """What ``vramgate`` says when it ends by itself with an error, and leaves nothing."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert mentioning(folder) == []
    return done.stderr


def mentioning(folder: Path) -> list[int]:
    """Processes with the folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue  # ended while we looked
    return found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--simulate", "gpus=x"], "gpus=x is no whole number"),
        (["--simulate", "cards=2"], "unknown key 'cards'"),
        (["--simulate", "gpus=1,workers=9999"], "9999 simulated workers"),
        (["--worker", "localhost:8188"], "write the URL of a ComfyUI"),
        (["--worker", "http://127.0.0.1:99999"], "write the URL of a ComfyUI"),
        (["--comfyui", "{folder}"], "no main.py there"),
        (["--simulate", "gpus=1", "--worker", "http://a"], "instead of real GPUs"),
        (["--config", "{folder}/none.yaml"], "there is no such file"),
        (["--host", "0.0.0.0", *SMALL], "auth.mode: keys"),
        (["--host", "192.0.2.1", "--config", "{folder}/keys.yaml", *SMALL], "192.0.2.1"),
        (["--port", "99999", *SMALL], "less than or equal to 65535"),
    ],
)
def test_a_wrong_option_is_one_clear_error(tmp_path: Path, options: list[str], said: str) -> None:
    (tmp_path / "keys.yaml").write_text(KEYS)
    given = [option.format(folder=tmp_path) for option in options]
    error = refusal("up", "--port", "0", "--data-dir", str(tmp_path / "d"), *given, folder=tmp_path)
    assert said in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users: [", "vramgate.yaml"),
        ("nonsense: 1", "nonsense"),
        ("store: {keep_jobs: many}", "store.keep_jobs"),
        ("users: [{name: a, role: king, key: key-of-a-1}]", "role"),
        ("users: [{name: a, key: key-of-a-1}, {name: a, key: key-of-b-1}]", "a"),
        ("- 1", "vramgate.yaml"),
        ("\0", "vramgate.yaml"),
    ],
)
def test_a_wrong_file_is_told_by_check_and_by_up_alike(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "vramgate.yaml"
    file.write_text(text)
    options = ("--data-dir", str(tmp_path / "d"), "--port", "0", *SMALL, "--config", str(file))
    for command in (("config", "check", str(file)), ("up", *options)):
        error = refusal(*command, folder=tmp_path)
        assert said in error
        assert "key-of-" not in error


@pytest.mark.parametrize("command", [("status",), ("users", "list"), ("users", "revoke", "ann")])
def test_asked_about_nothing_it_says_that_nothing_runs(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    error = refusal(*command, "--data-dir", str(tmp_path / "none"), folder=tmp_path)
    assert "nothing runs on" in error


@pytest.mark.parametrize("after_s", [0.0, 1.0])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_while_it_starts_it_leaves_nothing(
    tmp_path: Path, after_s: float, name: str
) -> None:
    command = [sys.executable, "-m", "cli.main", "up", "--port", "0"]
    command += ["--data-dir", str(tmp_path / "data"), *SMALL]
    with subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as up:
        wait_for((tmp_path / "data" / "run").exists)
        time.sleep(after_s)
        up.send_signal(signal.Signals[name])
        said, _ = up.communicate(timeout=90)
    assert b"Traceback" not in said
    assert mentioning(tmp_path) == []
    assert not (tmp_path / "data" / "run" / "up.json").exists()


@contextmanager
def worker(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A ComfyUI of somebody else: ours neither to start nor to stop."""
    command = [sys.executable, "-m", "simulator.comfyui", "--port", str(port), "--gpu-dir", "none"]
    command += ["--data-dir", str(folder), "--speed", "50"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"listens" in process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def not_ready(stack: Stack) -> str:
    """What /readyz says while it is not."""
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(stack.url + "/readyz", timeout=30)
    assert error.value.code == 503
    return error.value.read().decode()


def wait_for(true: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(stack: Stack) -> bool:
    try:
        urllib.request.urlopen(stack.url + "/healthz", timeout=2).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


async def test_a_worker_may_come_late_go_and_come_again(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    stack = Stack(tmp_path, "--worker", f"http://127.0.0.1:{port}", config=KEYS)
    ann = Client(http, stack.url, {"X-API-Key": ANN})
    with pytest.raises(TimeoutError):
        stack.start(within_s=0.1)
    try:
        await asyncio.to_thread(wait_for, lambda: answers(stack))
        assert not_ready(stack) == "no worker is ready"
        early = await ann.post("/prompt", {"prompt": image_prompt(1)})
        assert early.status in (200, 503)
        for _ in range(2):
            with worker(tmp_path / "w", port):
                await asyncio.to_thread(wait_for, stack.ready)
                prompt_id = await ann.queue(image_prompt(0x112233))
                assert (await ann.ended(prompt_id))["status"]["status_str"] == "success"
                (image,) = await ann.images(prompt_id)
                assert colour(await ann.view(image)) == (0x11, 0x22, 0x33)
            await asyncio.to_thread(wait_for, lambda: not stack.ready())
            assert not_ready(stack) == "no worker is ready"
            waiting = await ann.queue(image_prompt(0x445566))
        with worker(tmp_path / "w", port):
            assert (await ann.ended(waiting, 60))["status"]["status_str"] == "success"
        if early.status == 200:
            assert (await early.json())["prompt_id"] in await ann.get("/history")
    finally:
        stack.stop()


async def test_users_are_added_changed_and_locked_out_while_it_runs(
    start: Callable[..., Stack], http: aiohttp.ClientSession
) -> None:
    stack = start(*SMALL)
    run = asyncio.to_thread

    async def status(key: str, path: str = "/queue") -> int:
        async with http.get(stack.url + path, headers={"X-API-Key": key}) as answer:
            return answer.status

    first = (await run(vramgate, "users", "add", "zoe", stack=stack)).split()[-1]
    assert await status(first) == 200
    url = (await run(vramgate, "users", "url", "zoe", stack=stack)).split()[-1]
    async with http.get(url + "queue") as answer:
        assert answer.status == 200
    second = (await run(vramgate, "users", "rotate", "zoe", stack=stack)).split()[-1]
    assert (await status(first), await status(second)) == (401, 200)
    assert "zoe" in await run(vramgate, "users", "list", stack=stack)
    await run(vramgate, "users", "revoke", "zoe", stack=stack)
    assert await status(second) == 401
    async with http.get(url + "queue") as answer:
        assert answer.status == 401
    about = await run(vramgate, "status", stack=stack)
    assert "vm-0: ready" in about
    shown = await run(vramgate, "config", "show", stack=stack)
    for secret in (ANN, first, second, url.split("/")[-2]):
        assert secret not in shown + about + stack.tail()


@pytest.mark.slow
async def test_an_agent_that_was_frozen_settles_each_job_once(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    stack = Stack(tmp_path, "--simulate", "gpus=1,vram=24GiB,workers=2,speed=10", config=KEYS)
    stack.start()
    ann = Client(http, stack.url, {"X-API-Key": ANN})
    try:
        async with ann.socket() as heard:
            # long enough that two are found at work on a busy machine, too
            ids = [await ann.queue(sampling_prompt(seed=n, steps=1000)) for n in range(6)]
            async with asyncio.timeout(60):
                while len((await ann.get("/queue"))["queue_running"]) < 2:
                    await asyncio.sleep(0.05)
            agent = stack.pids()["agent"]
            os.kill(agent, signal.SIGSTOP)
            await asyncio.sleep(30)  # beyond scheduler.lease and scheduler.heartbeat
            os.kill(agent, signal.SIGCONT)
            for prompt_id in ids:
                entry = await ann.ended(prompt_id, 60)
                assert entry["status"]["status_str"] == "success", entry["status"]
            await heard.until_done(await ann.queue(image_prompt()))
        endings = [i for i in ids for frame in heard.frames if ends(frame, i)]
        assert sorted(endings) == sorted(ids)
        assert (await ann.get("/prompt"))["exec_info"]["queue_remaining"] == 0
        assert len(await ann.get("/history")) == len(ids) + 1
    finally:
        stack.stop()
