"""A real InfluxDB 1, and a door in front of it that speaks version 2's way of writing."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.dashboard.metrics.conftest import free_port, installed

V2_TOKEN = "a-token-that-may-write"


@dataclass(frozen=True)
class Database:
    """A database of a running server."""

    url: str
    name: str

    async def query(self, question: str) -> list[dict[str, Any]]:
        """Rows of the first statement, columns by name, tags among them."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}/query", params={"db": self.name, "q": question, "epoch": "ns"}
            ) as answer,
        ):
            told = await answer.json()
        assert "error" not in told, told
        (result,) = told["results"]
        assert "error" not in result, result
        return [
            {**series.get("tags", {}), **dict(zip(series["columns"], row, strict=True))}
            for series in result.get("series", [])
            for row in series["values"]
        ]


@pytest.fixture(scope="session")
def influx_url() -> Iterator[str]:
    """A server of our own."""
    program = installed("influxd", "influxdb")
    with tempfile.TemporaryDirectory(prefix="vgflux") as name:
        folder, port = Path(name), free_port()
        environ = os.environ | {
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_META_DIR": str(folder / "meta"),
            "INFLUXDB_DATA_DIR": str(folder / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
            "INFLUXDB_DATA_INDEX_VERSION": "inmem",
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
        }
        with (folder / "log").open("wb") as log:
            empty = folder / "influxdb.conf"
            empty.touch()
            server = subprocess.Popen(
                [program, "-config", empty], env=environ, stdout=log, stderr=log, cwd=folder
            )
        try:
            _wait_for(port, server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import http.client

    for _ in range(200):
        assert server.poll() is None, log.read_text()
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            asking.request("GET", "/ping")
            if asking.getresponse().status == 204:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            asking.close()
    pytest.fail(log.read_text())


@pytest.fixture
async def database(influx_url: str, pool_name: str) -> Database:
    """An empty one."""
    made = Database(influx_url, f"vg_{pool_name}")
    await made.query(f'CREATE DATABASE "{made.name}"')
    return made


@pytest.fixture
async def v2(influx_url: str) -> AsyncIterator[str]:
    """``/api/v2/write`` as 1.8 and 2 have it, which Debian's InfluxDB is too old for.

    What is posted there is what the real server gets: it judges the lines.
    """

    async def write(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Token {V2_TOKEN}":
            return web.json_response({"code": "unauthorized"}, status=401)
        query = {"db": request.query["bucket"], "precision": request.query["precision"]}
        assert "org" in request.query
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{influx_url}/write", params=query, data=await request.read()) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    app = web.Application()
    app.router.add_post("/api/v2/write", write)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
