from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from gateway.frontend import package_root
from tests.integration.gateway_info.conftest import ANN, KEYS, FakeAgent, Gateway, Start

pytestmark = pytest.mark.skipif(
    package_root() is None, reason="comfyui-frontend-package is not installed"
)


def with_frontend(kind: str) -> dict[str, Any]:
    return {**KEYS, "gateway": {"frontend": kind}}


async def get(gateway: Gateway, path: str) -> tuple[int, str]:
    answer = await gateway.client.get(path, headers=ANN)
    return answer.status, await answer.text()


class TestPackage:
    async def test_the_page_and_its_files_are_served(self, gateway: Gateway) -> None:
        answer = await gateway.client.get("/", headers=ANN)
        page = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.headers["Cache-Control"] == "no-cache"
        script = next(part for part in page.split('"') if part.endswith(".js"))
        answer = await gateway.client.get("/" + script.removeprefix("./"), headers=ANN)
        assert answer.status == 200
        assert answer.content_type.endswith("javascript")
        assert (await gateway.client.head("/", headers=ANN)).status == 200

    async def test_its_core_scripts_are_listed_with_the_packs(self, gateway: Gateway) -> None:
        gateway.agent.routes["extensions"] = [
            "/extensions/core/old.js",
            "/extensions/pack/pack.js",
        ]
        listed = await gateway.json("/extensions")
        assert "/extensions/core/groupNode.js" in listed
        assert "/extensions/core/load3d/LoaderManager.js" in listed
        assert "/extensions/pack/pack.js" in listed
        assert "/extensions/core/old.js" not in listed
        assert (await get(gateway, "/extensions/core/groupNode.js"))[0] == 200

    async def test_scripts_of_packs_templates_and_help_come_from_a_worker(
        self, gateway: Gateway
    ) -> None:
        gateway.agent.routes |= {
            "extensions/pack/pack.js": b"pack()",
            "templates/index.json": b"[]",
            "docs/a.md": b"help",
        }
        for path, body in (
            ("/extensions/pack/pack.js", "pack()"),
            ("/templates/index.json", "[]"),
            ("/docs/a.md", "help"),
        ):
            assert await get(gateway, path) == (200, body)
        answer = await gateway.client.get("/extensions/pack/pack.js", headers=ANN)
        assert "Set-Cookie" not in answer.headers
        assert "X-Host" not in answer.headers

    @pytest.mark.parametrize(
        "path",
        [
            "/..%2f..%2f__init__.py",
            "/%2e%2e/%2e%2e/__init__.py",
            "/assets/..%2f..%2f..%2f__init__.py",
            "/%2Fetc%2Fpasswd",
            "//etc/passwd",
            "/assets",
            "/x%00.js",
            "/extensions/..%2fapi/queue",
            "/extensions/%2e%2e/object_info",
            "/docs/..%5c..%5cx",
        ],
    )
    async def test_nothing_outside_is_ever_read(self, gateway: Gateway, path: str) -> None:
        gateway.agent.asked.clear()
        assert await gateway.raw(path) == (404, b"")
        assert gateway.agent.asked == []

    @pytest.mark.parametrize(
        "path", ["/nosuchroute", "/api/nosuchroute", "/user.css", "/manager/reboot", "/jobs.json"]
    )
    async def test_an_unknown_path_is_an_empty_404(self, gateway: Gateway, path: str) -> None:
        assert await get(gateway, path) == (404, "")
        assert gateway.agent.asked == []

    async def test_a_missing_picture_is_remembered_for_an_hour(self, gateway: Gateway) -> None:
        answer = await gateway.client.get("/nope.png", headers=ANN)
        assert answer.headers["Cache-Control"] == "public, max-age=3600"


class TestWorker:
    async def test_the_workers_own_page_is_shown(self, start: Start, agent: FakeAgent) -> None:
        agent.routes |= {"index.html": b"<html>theirs", "assets/x.js": b"x()"}
        gateway = await start(with_frontend("worker"))
        assert await get(gateway, "/") == (200, "<html>theirs")
        assert await get(gateway, "/assets/x.js") == (200, "x()")
        assert (await get(gateway, "/assets/none.js"))[0] == 404

    async def test_only_listed_folders_are_asked_for(self, start: Start, agent: FakeAgent) -> None:
        gateway = await start(with_frontend("worker"))
        for path in ("/manager/reboot", "/queue/x", "/object_info/a/b", "/api/x", "/system_stats/"):
            assert (await get(gateway, path))[0] == 404, path
        assert agent.asked == []

    async def test_a_redirect_of_a_worker_is_not_followed(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes["assets/x.js"] = web.HTTPFound("http://169.254.169.254/")
        gateway = await start(with_frontend("worker"))
        assert (await get(gateway, "/assets/x.js"))[0] == 404

    async def test_without_a_worker_the_page_says_so(self, start: Start) -> None:
        gateway = await start(with_frontend("worker"), workers=0)
        assert (await get(gateway, "/"))[0] == 503
        assert await get(gateway, "/assets/x.js") == (404, "")
