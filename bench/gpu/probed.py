"""One ComfyUI with the probe, started and driven for a measurement."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

_PROBE: Final = Path(__file__).parents[2] / "worker_agent" / "probe"
_BOOT_S: Final = 180.0
_PROMPT_S: Final = 180.0
#: what ComfyUI writes into its log when memory does not suffice
MARKS: Final = {
    "tiled": "retrying with tiled",
    "partial": "loaded partially",
    "oom": "Got an OOM",
}


class Refused(Exception):
    """ComfyUI or its probe did not do what was asked of it; the text is its answer."""


class ProbedComfyui:
    """A ComfyUI process; ``async with`` starts and ends it.

    Attributes:
        pid: of the process.
        boot_s: seconds from start to the first answer.
    """

    def __init__(
        self,
        comfyui: Path,
        python: Path,
        home: Path,
        checkpoints: Path,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.boot_s = 0.0
        self._checkpoints = checkpoints.resolve()
        self._comfyui, self._python, self._home = comfyui, python, home
        self._args, self._more_env = args, dict(env or {})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self._token = secrets.token_hex(16)
        self._sid = uuid.uuid4().hex
        self._log = home / "comfyui.log"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._home.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        self._process = self._start()
        self._http = aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(total=_PROMPT_S))
        try:
            await self._up(began + _BOOT_S)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self.boot_s = time.perf_counter() - began
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def marks(self) -> dict[str, int]:
        """How often ComfyUI's log told of each kind of fall-back so far."""
        text = self._log.read_text(errors="replace")
        return {name: text.count(words) for name, words in MARKS.items()}

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One of the probe's routes.

        Raises:
            Refused: it answered with an error.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        url = "/vramgate/probe" + path
        async with self._http.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            if response.status != 200:
                raise Refused(f"{method} {path}: {response.status} {text[:300]}")
            answer: dict[str, Any] = json.loads(text)
            return answer

    async def run(self, graph: dict[str, Any]) -> tuple[float, str]:
        """Run a prompt.

        Returns:
            Seconds, and ``ok`` or what it failed of.

        Raises:
            Refused: ComfyUI did not take it.
        """
        async with self._http.ws_connect(f"/ws?clientId={self._sid}", max_msg_size=0) as frames:
            began = time.perf_counter()
            body = {"prompt": graph, "client_id": self._sid}
            async with self._http.post("/prompt", json=body) as response:
                if response.status != 200:
                    raise Refused((await response.text())[:300])
                prompt = (await response.json())["prompt_id"]
            async for frame in frames:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                message = json.loads(frame.data)
                data = message.get("data") or {}
                if data.get("prompt_id") != prompt:
                    continue
                if message["type"] == "execution_success":
                    return time.perf_counter() - began, "ok"
                if message["type"] in ("execution_error", "execution_interrupted"):
                    about = f"{data.get('exception_type', '')} in {data.get('node_type', '')}"
                    return time.perf_counter() - began, about
        return time.perf_counter() - began, "ComfyUI ended: see its log"

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command(),
                cwd=self._comfyui,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _up(self, until: float) -> None:
        while True:
            try:
                await self.ask("GET", "/")
            except (aiohttp.ClientConnectionError, ConnectionError):
                if self._process.poll() is not None or time.perf_counter() > until:
                    tail = self._log.read_text(errors="replace")[-2000:]
                    raise Refused(f"ComfyUI did not start:\n{tail}") from None
                await asyncio.sleep(0.1)
            else:
                return

    def _command(self) -> list[str]:
        home = self._home.resolve()
        pack = home / "nodes" / "vramgate_probe"
        if pack.exists():
            shutil.rmtree(pack)
        shutil.copytree(_PROBE, pack, ignore=shutil.ignore_patterns("__pycache__"))
        paths = home / "paths.yaml"
        # JSON is YAML, whatever letters a path has
        folders = {"custom_nodes": str(home / "nodes"), "checkpoints": str(self._checkpoints)}
        paths.write_text(json.dumps({"vramgate": folders}))
        for name in ("user", "output", "input", "page"):
            (home / name).mkdir(exist_ok=True)
        (home / "page" / "index.html").write_text("nobody looks")
        return [
            *(str(self._python), str(self._comfyui.resolve() / "main.py")),
            *("--listen", "127.0.0.1", "--port", str(self._port), "--disable-auto-launch"),
            *("--user-directory", str(home / "user"), "--output-directory", str(home / "output")),
            *("--input-directory", str(home / "input"), "--temp-directory", str(home)),
            *("--database-url", f"sqlite:///{home / 'comfyui.db'}"),
            *("--extra-model-paths-config", str(paths), "--disable-api-nodes"),
            *("--front-end-root", str(home / "page")),
            *self._args,
        ]

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**env, **self._more_env, "VRAMGATE_PROBE": json.dumps({"token": self._token})}
