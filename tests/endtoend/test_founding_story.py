"""What this project was begun for, told from end to end.

A 4K picture's way through the VAE takes 2 s where there is memory, and more than 10 s within 6 GiB:
it falls back to tiles, and ComfyUI says so in a log that nobody reads. Here the timeline marks the
node, the alert fires, the advice names node, cause and remedy, and the remedy is tried: with it
the time is what it was. The simulated worker takes what was measured on an H200, times pass
``SPEED`` times as fast: what a busy machine adds to a node counts as much more.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.clients import Client
from tests.endtoend.conftest import ADA, ANN, BOB, KEYS
from tests.endtoend.stack import REPO, Stack

pytestmark = pytest.mark.slow

SPEED: Final = 2
#: 4K as films have it
CINEMA: Final = (4096, 2160)
#: runs of each kind: five against five are 1 in 252 by chance
RUNS: Final = 5
#: runs with a remedy, of which the quickest counts: a busy machine slows a simulated node, too
TRIES: Final = 3
#: an alert for a node over 5 s, as fast as time passes here
CONFIG: Final = (
    KEYS
    + f"""
alerts:
  every: 1s
  rules:
    - {{name: slow_node, kind: node, limit: {5 / SPEED}s, lasts: 10m}}
"""
)
ROOMY: Final = "gpus=1,vram=32GiB,workers=1,speed={speed}"
#: 6 GiB are left of it to promise
NARROW: Final = "gpus=1,vram=6656MiB,workers=1,speed={speed}"


def round_trip(width: int, height: int, color: int) -> dict[str, Any]:
    """A picture into the latent space and back; colours make each run one of its own."""
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}}
    picture = {"width": width, "height": height, "batch_size": 1, "color": color}
    return {
        "1": loader,
        "2": {"class_type": "EmptyImage", "inputs": picture},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }


@dataclass
class Studio:
    """A pool whose card is changed between starts; its store stays."""

    stack: Stack
    colors: Iterator[int]

    def restart(self, spec: str) -> None:
        if self.stack.process is not None:
            self.stack.stop()
        place = self.stack.options.index("--simulate") + 1
        self.stack.options[place] = spec.format(speed=SPEED)
        self.stack.start()

    async def run(
        self, client: Client, times: int = 1, size: tuple[int, int] = CINEMA
    ) -> list[str]:
        """Round trips, one after the other; their prompt ids when all have ended well."""
        graphs = [round_trip(*size, next(self.colors)) for _ in range(times)]
        prompts = [await client.queue(graph) for graph in graphs]
        for prompt_id in prompts:
            entry = await client.ended(prompt_id, 120)
            assert entry["status"]["status_str"] == "success"
        return prompts

    def advice(self, *options: str) -> list[dict[str, Any]]:
        """What ``vramgate advice`` says."""
        command = [sys.executable, "-m", "cli.main", "advice", "--json", "--now", *options]
        command += ["--config", str(self.stack.config), "--data-dir", str(self.stack.data_dir)]
        said = subprocess.run(command, cwd=REPO, check=True, capture_output=True).stdout
        found: list[dict[str, Any]] = json.loads(said)["advice"]
        return found


async def told(client: Client, prompt_id: str) -> dict[str, dict[str, Any]]:
    """The job's VAE nodes by class, once both are in the store."""
    async with asyncio.timeout(30):
        while True:
            path = f"{client.url}/dashboard/api/v1/jobs/{prompt_id}"
            async with client.http.get(path, headers=client.headers) as answer:
                page = await answer.json() if answer.status == 200 else {}
            bars = {bar["class_type"]: bar for bar in page.get("nodes", ()) if bar["reached"]}
            if page.get("ran") is not None and {"VAEEncode", "VAEDecode"} <= bars.keys():
                return bars
            await asyncio.sleep(0.2)


async def vae_seconds(client: Client, prompt_id: str) -> float:
    """Both ways through the VAE, as a real card would take."""
    bars = await told(client, prompt_id)
    nodes = (bars["VAEEncode"], bars["VAEDecode"])
    return SPEED * sum(float(bar["seconds"] - bar["load_seconds"]) for bar in nodes)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Without connections that outlive a gateway."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    stack = Stack(tmp_path, "--simulate", ROOMY.format(speed=SPEED), config=CONFIG)
    yield Studio(stack, iter(range(1, 1000)))
    if stack.process is not None:
        stack.stop()


@pytest.mark.timeout(480)
async def test_a_decode_that_fell_back_is_seen_told_and_cured(
    studio: Studio, http: aiohttp.ClientSession
) -> None:
    def client(key: str) -> Client:
        return Client(http, studio.stack.url, {"Authorization": f"Bearer {key}"})

    ann, ada, bob = client(ANN), client(ADA), client(BOB)

    # There is memory: a 4K picture takes about 2 s both ways.
    studio.restart(ROOMY)
    quick = [await vae_seconds(ann, one) for one in await studio.run(ann, RUNS)]
    assert min(quick) >= 0.8

    # A worker that is kept in 6 GiB: the same takes more than 10 s, and says why.
    studio.restart(NARROW)
    slow_ids = await studio.run(ann, RUNS)
    slow = [await vae_seconds(ann, one) for one in slow_ids]
    assert min(slow) >= 10.0
    assert sorted(quick)[RUNS // 2] < min(slow) / 2  # on a machine that is busy, too
    decode = (await told(ann, slow_ids[0]))["VAEDecode"]
    assert decode["fallback"] == "tiled"
    assert "late" in decode["slow"]  # the timeline marks it: later than 95 % of the runs before

    await alerted(ann, slow_ids)
    found = [one for one in studio.advice("--user", "ann") if one["kind"] == "vae_fallback"]
    decoded = next(one for one in found if "VAEDecode" in one["title"])
    assert "Node 4 (VAEDecode)" in decoded["cause"]
    assert "in tiles" in decoded["cause"]
    assert "kept within 6." in decoded["cause"] or "kept within 5." in decoded["cause"]
    assert decoded["proof"]["p_value"] < 0.01
    assert decoded["effect"]["low"] > 2
    assert {one["job"] for one in decoded["jobs"]}
    smaller = next(text for text in decoded["remedies"] if text.startswith("Lower resolution"))

    # Who sees it: the artist, admins, the job's own page; nobody else.
    for who in (ann, ada):
        listed = await who.get("/dashboard/api/v1/advice")
        assert decoded["id"] in [one["id"] for one in listed["advice"]]
    assert (await bob.get("/dashboard/api/v1/advice"))["advice"] == []
    of_job = await ann.get(f"/dashboard/api/v1/jobs/{slow_ids[0]}/advice")
    assert decoded["id"] in [one["id"] for one in of_job["advice"]]

    # The remedy for today: the size that is said to pass does, on the same card.
    width, height = (int(side) for side in smaller.split("up to ")[1].split(" ")[0].split("×"))
    cured = await studio.run(ann, TRIES, size=(width, height))
    assert {(await told(ann, one))["VAEDecode"]["fallback"] for one in cured} == {""}
    assert min([await vae_seconds(ann, one) for one in cured]) < min(slow) / 2

    # The remedy for good: what it is said to need is given, and it is as quick as ever.
    studio.restart(ROOMY)
    again = await studio.run(ann, TRIES)
    assert {(await told(ann, one))["VAEDecode"]["fallback"] for one in again} == {""}
    assert min([await vae_seconds(ann, one) for one in again]) < min(slow) / 2
    # samples of the new card come a few seconds later
    async with asyncio.timeout(60):
        while True:
            (advised,) = [one for one in studio.advice() if one["id"] == decoded["id"]]
            if advised["remedies"][0].startswith("More reservation"):
                break
            await asyncio.sleep(1)


async def alerted(client: Client, prompts: list[str]) -> None:
    """The alert on slow nodes holds for one of these jobs, and the artist sees it."""
    async with asyncio.timeout(60):
        while True:
            listed = await client.get("/dashboard/api/v1/alerts")
            if any(_is_it(one, prompts) for one in listed["firing"]):
                return
            await asyncio.sleep(0.5)


def _is_it(alert: dict[str, Any], prompts: list[str]) -> bool:
    slow = alert["rule"] == "slow_node" and alert["where"].get("job") in prompts
    return slow and "fell back to tiles" in alert["text"]
