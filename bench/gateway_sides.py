"""The sides that ``bench.gateway`` compares: a bare worker, the gateway, nginx before the worker."""

from __future__ import annotations

import asyncio
import io
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from PIL import Image

from bench.gateway_load import request
from tests.clients import Client, image_prompt
from tests.endtoend.stack import REPO, Stack, free_port

#: a picture of noise, which PNG cannot make smaller: 1.05 MB
_SIDE_PX: Final = 592
_START_S: Final = 60.0
#: users beside the bench's own whose prompts wait
CROWD: Final = 4

_CONFIG: Final = """\
auth: {{mode: keys}}
users:
  - {{name: bench, key: {key}, role: admin, workers: [{workers}]}}
{crowd}"""
_NGINX: Final = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 10000000;
  map $http_upgrade $upgrading {{ default upgrade; "" ""; }}
  upstream bare {{ server {worker}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://bare;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrading;
    }}
  }}
}}
"""


@dataclass(slots=True)
class Side:
    """One way to a worker, and what was prepared behind it."""

    name: str
    client: Client
    #: process whose memory idle sockets cost; None: not ours to look at
    pid: int | None
    #: GET requests by route, ready to send
    gets: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return urlsplit(self.client.url).port or 80

    def get(self, path: str, **headers: str) -> str:
        """A GET with this side's credential."""
        return request(path, headers={**self.client.headers, **headers})


async def prepare(side: Side) -> None:
    """Make a 1 MB output and an ended prompt, and write down the requests that are timed."""
    client = side.client
    form = aiohttp.FormData()
    form.add_field("image", _noise(), filename="noise.png", content_type="image/png")
    async with client.http.post(
        client.url + "/upload/image", data=form, headers=client.headers
    ) as answer:
        answer.raise_for_status()
        name = (await answer.json())["name"]
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "megabyte"},
        },
    }
    prompt_id = await client.queue(graph)
    await client.ended(prompt_id, within_s=_START_S)
    (image,) = await client.images(prompt_id)
    small = await client.queue(image_prompt(1, prefix="small"))
    await client.ended(small, within_s=_START_S)
    async with client.http.get(client.url + "/object_info", headers=client.headers) as answer:
        await answer.read()
        tag = answer.headers.get("ETag", '"none"')
    side.gets = {
        "/queue": side.get("/queue"),
        "/history/{id}": side.get(f"/history/{small}"),
        "/object_info": side.get("/object_info"),
        "/object_info, gzip": side.get("/object_info", **{"Accept-Encoding": "gzip"}),
        "/object_info, If-None-Match": side.get("/object_info", **{"If-None-Match": tag}),
        "/view 1 MB": side.get("/view?" + urlencode(image)),
    }


def _noise() -> bytes:
    pixels = random.Random(1).randbytes(_SIDE_PX * _SIDE_PX * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (_SIDE_PX, _SIDE_PX), pixels).save(out, "png")
    return out.getvalue()


class BareWorker:
    """A simulated worker with nothing in front of it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "simulator.comfyui", "--port", str(self.port)]
        command += ["--gpu-dir", "none", "--data-dir", str(folder / "bare"), "--speed", "1000"]
        silent = subprocess.DEVNULL
        self.process = subprocess.Popen(command, cwd=REPO, stdout=silent, stderr=silent)

    def stop(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        self.process.wait(10)


class Nginx:
    """nginx in front of a worker, passing on everything."""

    def __init__(self, folder: Path, worker_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = folder / "nginx"
        own.mkdir()
        config = own / "nginx.conf"
        worker = urlsplit(worker_url).netloc
        # root's nginx works as nobody, whom root's temporary folder is closed to
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(_NGINX.format(folder=own, worker=worker, port=self.port, user=user))
        command = [shutil.which("nginx") or "nginx", "-p", str(own), "-c", str(config)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    @staticmethod
    def installed() -> bool:
        """Whether there is one on PATH."""
        return shutil.which("nginx") is not None

    def stop(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        self.process.wait(10)


class Gate:
    """``vramgate up`` with keys: one bench user, and a crowd whose prompts no worker may run."""

    def __init__(self, folder: Path, worker: str | None) -> None:
        """``worker``: URL of the ComfyUI to drive; None: a simulated one."""
        self._keys = [secrets.token_urlsafe(16) for _ in range(CROWD + 1)]
        simulated = "gpus=1,vram=24GiB,workers=1,speed=1000"
        options = ("--simulate", simulated) if worker is None else ("--worker", worker)
        self.stack = Stack(folder, *options, config=self._config(held_up=False))

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return self.stack.url

    def headers(self, number: int = 0) -> dict[str, str]:
        """The credential of the bench's user (0) or of one of the crowd (1…)."""
        return {"Authorization": f"Bearer {self._keys[number]}"}

    def hold_up(self, *, held_up: bool) -> None:
        """True: from the next reload on no worker may run the bench user's prompts either."""
        self.stack.config.write_text(self._config(held_up=held_up))

    def _config(self, *, held_up: bool) -> str:
        crowd = "".join(
            f"  - {{name: crowd{n}, key: {key}, workers: [nowhere]}}\n"
            for n, key in enumerate(self._keys[1:])
        )
        return _CONFIG.format(key=self._keys[0], crowd=crowd, workers="nowhere" if held_up else "")


async def answering(url: str) -> None:
    """Wait until a worker answers.

    Raises:
        TimeoutError: it does not.
    """
    await asyncio.to_thread(_wait, url)


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(url):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} does not answer")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/system_stats", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
