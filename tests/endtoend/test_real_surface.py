"""Every route of the protocol, every method, bare and under ``/api``: a real ComfyUI and the gateway.

Opt-in: COMFYUI_URL names one of version 0.3.64. What differs on purpose is listed here with
its reason, and in docs/decisions/0004.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.clients import Client
from tests.endtoend.conftest import ANN
from tests.endtoend.stack import Stack

COMFYUI = os.environ.get("COMFYUI_URL", "")
pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_URL names no real ComfyUI"),
]
PATHS = [
    "/prompt", "/queue", "/interrupt", "/history", "/history/nope", "/free", "/object_info",
    "/object_info/KSampler", "/object_info/Nope", "/system_stats", "/features", "/models",
    "/models/checkpoints", "/models/nope", "/embeddings", "/experiment/models",
    "/experiment/models/checkpoints", "/experiment/models/nope",
    "/experiment/models/preview/checkpoints/0/nope.png", "/view_metadata/checkpoints",
    "/view_metadata/checkpoints?filename=nope.safetensors", "/view_metadata/nope?filename=x",
    "/extensions", "/i18n", "/workflow_templates", "/view", "/view?filename=nope.png",
    "/upload/image", "/upload/mask", "/users", "/settings", "/settings/Some.Id", "/userdata",
    "/userdata?dir=nope", "/userdata?dir=..", "/v2/userdata", "/v2/userdata?path=nope",
    "/v2/userdata?path=..", "/userdata/nope.json", "/userdata/a%2Fnope.json",
    "/userdata/..%2Fx.json", "/userdata/nope.json/move/other.json", "/internal/logs",
    "/internal/logs/raw", "/internal/logs/subscribe", "/internal/folder_paths",
    "/internal/files/output", "/internal/files/bad", "/internal/nope", "/internal",
    "/workflow_templates/nope/x.json", "/extensions/nope/x.js", "/templates/nope.json",
    "/docs/nope.md", "/user.css", "/nope", "/nope/nope", "/nope.js", "/nope.png", "/ws",
    "/prompt/", "/queue/", "/object_info/", "/history/", "/userdata/", "/view/", "//prompt", "/",
    "/index.html",
]  # fmt: skip
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
#: ours alone, or answered on purpose in another way: (method, bare path) → why
ON_PURPOSE: dict[tuple[str, str], str] = {
    ("POST", "/prompt"): "an empty body is 400 in ComfyUI's shape, not 500",
    ("POST", "/queue"): "the same",
    ("POST", "/history"): "the same",
    ("POST", "/free"): "an empty body asks for nothing",
    ("POST", "/users"): "users are the admin's",
    ("POST", "/settings"): "an empty body is 400, not 500",
    ("POST", "/settings/Some.Id"): "the same",
    ("PATCH", "/internal/logs/subscribe"): "the same",
    ("POST", "/upload/image"): "no form is 400, not 500",
    ("POST", "/upload/mask"): "the same",
    ("GET", "//prompt"): "404 without the words",
}


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    return start("--worker", COMFYUI)


@pytest.fixture
def both(stack: Stack, http: aiohttp.ClientSession) -> tuple[Client, Client]:
    return Client(http, COMFYUI), Client(http, stack.url, {"X-API-Key": ANN})


async def ask(client: Client, method: str, path: str) -> dict[str, Any]:
    url = URL(client.url + path, encoded=True)
    async with client.http.request(
        method, url, headers=client.headers, allow_redirects=False
    ) as answer:
        body = await answer.read()
        kind = answer.headers.get("Content-Type", "").split(";")[0] if body else ""
        allow = sorted(answer.headers.get("Allow", "").replace(" ", "").split(","))
        return {"status": answer.status, "type": kind, "allow": allow, "empty": not body}


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_route_answers_alike(both: tuple[Client, Client], path: str, prefix: str) -> None:
    differing = {}
    for method in METHODS:
        real, ours = [await ask(client, method, prefix + path) for client in both]
        if real != ours and (method, path) not in ON_PURPOSE:
            differing[method] = {"real": real, "ours": ours}
    assert differing == {}
