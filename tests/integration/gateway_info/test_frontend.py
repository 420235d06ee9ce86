from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.frontend import package_root
from scheduler.states import WorkerState
from tests.factories import worker
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

    async def test_a_packs_files_come_from_whichever_worker_has_the_pack(
        self, start: Start, agent: FakeAgent
    ) -> None:
        gateway = await start(workers=3)
        agent.routes["host-1:extensions/pack/pack.js"] = b"pack()"
        agent.routes["host-2:api/workflow_templates/pack/first steps.json"] = b"{}"
        assert await get(gateway, "/extensions/pack/pack.js") == (200, "pack()")
        path = "/api/workflow_templates/pack/first%20steps.json"
        assert await get(gateway, path) == (200, "{}")
        assert await get(gateway, path.replace("first", "last")) == (404, "")
        assert await get(gateway, "/extensions/pack/other.js") == (404, "")

    @pytest.mark.parametrize(
        "path",
        [
            "/workflow_templates/pack/x.json",  # ComfyUI has it under /api alone
            "/api/workflow_templates/..%2fqueue",
            "/api/workflow_templates/%2e%2e/queue",
            "/api/extensions/pack/pack.js",
            "/api/pack/settings",
            "/pack/x.js",
            "/manager/x.json",
        ],
    )
    async def test_other_paths_of_packs_are_out_of_reach(self, gateway: Gateway, path: str) -> None:
        await gateway.raw("/")
        gateway.agent.asked.clear()
        assert await gateway.raw(path) == (404, b"")
        assert gateway.agent.asked == []

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
        await gateway.raw("/")
        gateway.agent.asked.clear()
        assert await gateway.raw(path) == (404, b"")
        assert gateway.agent.asked == []

    @pytest.mark.parametrize(
        "path", ["/nosuchroute", "/api/nosuchroute", "/user.css", "/manager/reboot", "/jobs.json"]
    )
    async def test_an_unknown_path_is_an_empty_404(self, gateway: Gateway, path: str) -> None:
        await get(gateway, "/")
        gateway.agent.asked.clear()
        assert await get(gateway, path) == (404, "")
        assert gateway.agent.asked == []

    async def test_a_missing_picture_is_remembered_for_an_hour(self, gateway: Gateway) -> None:
        answer = await gateway.client.get("/nope.png", headers=ANN)
        assert answer.headers["Cache-Control"] == "public, max-age=3600"


class TestWorker:
    async def test_the_workers_own_page_is_shown(self, start: Start, agent: FakeAgent) -> None:
        agent.routes |= {"": b"<html>theirs", "assets/x.js": b"x()"}
        gateway = await start(with_frontend("worker"))
        assert await get(gateway, "/") == (200, "<html>theirs")
        assert await get(gateway, "/assets/x.js") == (200, "x()")
        assert (await get(gateway, "/assets/none.js"))[0] == 404

    async def test_only_listed_folders_are_asked_for(self, start: Start, agent: FakeAgent) -> None:
        gateway = await start(with_frontend("worker"))
        for path in ("/manager/reboot", "/queue/x", "/object_info/a/b", "/api/x", "/system_stats/"):
            assert (await get(gateway, path))[0] == 404, path
        assert set(agent.asked) == {""}

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


class TestAuto:
    """The workers' own UI if one has it, else the package."""

    PAGE = b"<html>theirs"

    async def test_a_workers_own_page_goes_before_the_package(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes |= {"": self.PAGE, "assets/x.js": b"x()"}
        gateway = await start()
        assert await get(gateway, "/") == (200, "<html>theirs")
        assert await get(gateway, "/index.html") == (200, "<html>theirs")
        assert await get(gateway, "/assets/x.js") == (200, "x()")
        script = "/scripts/app.js"  # of the package, and not of this worker
        assert (await get(gateway, script))[0] == 404

    @pytest.mark.parametrize("answer", [None, b"{}", web.HTTPFound("/x"), web.HTTPForbidden()])
    async def test_what_is_no_page_is_not_taken_for_one(
        self, start: Start, agent: FakeAgent, answer: Any
    ) -> None:
        agent.routes[""] = answer
        gateway = await start()
        status, page = await get(gateway, "/")
        assert status == 200
        assert "<title>ComfyUI" in page

    async def test_a_packs_script_is_found_beside_the_worker_that_is_shown(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes |= {"host-0:": self.PAGE, "host-1:extensions/pack/pack.js": b"pack()"}
        agent.routes["host-1:extensions/core/other.js"] = b"of another build"
        gateway = await start(workers=2)
        assert await get(gateway, "/extensions/pack/pack.js") == (200, "pack()")
        assert (await get(gateway, "/extensions/core/other.js"))[0] == 404

    async def test_the_listed_core_scripts_are_those_of_the_ui_that_is_shown(
        self, start: Start, agent: FakeAgent
    ) -> None:
        gateway = await start(workers=3)
        for number, core in enumerate(("a.js", "b.js", "b.js")):
            agent.routes[f"host-{number}:extensions"] = [
                f"/extensions/core/{core}",
                f"/extensions/pack{number}/p.js",
            ]
        agent.routes |= {"host-1:": self.PAGE, "host-2:": b"<html>other"}
        assert await gateway.json("/extensions") == [
            "/extensions/core/b.js",
            "/extensions/pack0/p.js",
            "/extensions/pack1/p.js",
            "/extensions/pack2/p.js",
        ]

    async def test_pages_and_scripts_come_from_one_worker(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes |= {"host-0:": None, "host-1:": self.PAGE, "host-2:": b"<html>other"}
        agent.routes |= {"host-1:assets/x.js": b"one", "host-2:assets/x.js": b"two"}
        gateway = await start(workers=3)
        for _ in range(3):
            assert await get(gateway, "/") == (200, "<html>theirs")
            assert await get(gateway, "/assets/x.js") == (200, "one")
        assert agent.asked.count("") == 3 + 3, "each worker is asked for its page once"

    async def test_the_package_steps_in_at_once_when_the_worker_goes_and_out_when_it_returns(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes[""] = self.PAGE
        gateway = await start()
        assert await get(gateway, "/") == (200, "<html>theirs")
        await gateway.report([worker("host-0", "host-gpu", state=WorkerState.DOWN)])
        assert "<title>ComfyUI" in (await get(gateway, "/"))[1]
        assert "/extensions/core/groupNode.js" in await gateway.json("/extensions")
        await gateway.report([worker("host-0", "host-gpu")])
        assert await get(gateway, "/") == (200, "<html>theirs")

    async def test_a_worker_that_does_not_answer_is_passed_over_before_the_pool_knows(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes[""] = self.PAGE
        gateway = await start()
        assert await get(gateway, "/") == (200, "<html>theirs")
        agent.routes[""] = web.HTTPBadGateway()
        assert "<title>ComfyUI" in (await get(gateway, "/"))[1]
        agent.routes[""] = self.PAGE
        gateway.clock.now += 3  # type: ignore[attr-defined]
        assert await get(gateway, "/") == (200, "<html>theirs")


class TestManifest:
    """Browsers fetch the page's web app manifest without cookies; it is nobody's secret."""

    async def ask(self, gateway: Gateway, path: str, method: str = "GET", **more: str) -> int:
        answer = await gateway.client.request(
            method, path, headers={"Sec-Fetch-Dest": "manifest", **more}, allow_redirects=False
        )
        return answer.status

    async def test_the_one_that_the_page_names_is_there_for_everybody(
        self, gateway: Gateway
    ) -> None:
        page = (await get(gateway, "/"))[1]
        named = next(part for part in page.split('"') if "/manifest-" in part)
        path = "/" + named.removeprefix("./")
        answer = await gateway.client.get(path)
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert (await answer.json(content_type=None))["name"] == "ComfyUI"
        assert await self.ask(gateway, path, "HEAD") == 200
        wrong = await gateway.client.get(path, headers={"X-API-Key": "key-of-nobody-01"})
        assert wrong.status == 401

    async def test_it_comes_from_the_worker_whose_page_is_shown(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes |= {"": b"<html>theirs", "assets/manifest-CebUEmtR.json": {"name": "theirs"}}
        gateway = await start()
        answer = await gateway.client.get("/assets/manifest-CebUEmtR.json")
        assert await answer.json() == {"name": "theirs"}
        assert await self.ask(gateway, "/assets/manifest-AAAAAAAA.json") == 404

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/index.html",
            "/assets/x.js",
            "/assets/manifest.json",
            "/assets/manifest-CebUEmtR.json/x",
            "/assets/manifest-CebUEmtR.js",
            "/assets/manifest-CebUEmtR.json.map",
            "/assets/manifest-longer-than-that.json",
            "/assets/x/manifest-CebUEmtR.json",
            "/assets/..%2fassets/manifest-CebUEmtR.json",
            "/assets/manifest-..%2f..%2fx.json",
            "/assets//manifest-CebUEmtR.json",
            "//assets/manifest-CebUEmtR.json",
            "/Assets/manifest-CebUEmtR.json",
            "/api/assets/manifest-CebUEmtR.json",
            "/internal/assets/manifest-CebUEmtR.json",
            "/userdata/assets%2Fmanifest-CebUEmtR.json",
            "/view?filename=/assets/manifest-CebUEmtR.json",
            "/extensions/assets/manifest-CebUEmtR.json",
            "/assets/manifest-CebUEmt%52.json",
            "/assets/manifest-CebUEmtR.json%00",
        ],
    )
    async def test_nothing_else_is(self, start: Start, agent: FakeAgent, path: str) -> None:
        agent.routes |= {"": b"<html>theirs", "assets/x.js": b"x()"}
        gateway = await start()
        agent.asked.clear()
        who = {"Sec-Fetch-Dest": "manifest", "Accept": "*/*"}
        assert (await gateway.raw(path, who))[0] == 401
        assert agent.asked == []

    async def test_nothing_but_reading_it_is(self, start: Start, agent: FakeAgent) -> None:
        path = "/assets/manifest-CebUEmtR.json"
        agent.routes |= {"": b"<html>theirs", path[1:]: {"name": "theirs"}}
        gateway = await start()
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert await self.ask(gateway, path, method) == 401, method
        assert await self.ask(gateway, path, Upgrade="websocket", Connection="Upgrade") == 401


class TestRoot:
    """A frontend that the admin unpacked somewhere: shown instead of all others."""

    @pytest.fixture
    def pinned(self, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "extensions" / "core").mkdir(parents=True)
        (tmp_path / "extensions" / "core" / "own.js").write_text("own()")
        (tmp_path / "index.html").write_text("<html>pinned")
        return {**KEYS, "gateway": {"frontend_root": tmp_path}}

    async def test_it_goes_before_the_workers_own_page_and_the_package(
        self, start: Start, agent: FakeAgent, pinned: dict[str, Any]
    ) -> None:
        agent.routes |= {"": b"<html>theirs", "assets/x.js": b"x()"}
        agent.routes |= {"extensions/pack/pack.js": b"pack()", "templates/index.json": b"[]"}
        agent.routes["extensions"] = ["/extensions/core/old.js", "/extensions/pack/pack.js"]
        gateway = await start(pinned)
        assert await get(gateway, "/") == (200, "<html>pinned")
        assert await get(gateway, "/extensions/core/own.js") == (200, "own()")
        assert await get(gateway, "/assets/x.js") == (404, "")
        assert await get(gateway, "/extensions/pack/pack.js") == (200, "pack()")
        assert await get(gateway, "/templates/index.json") == (200, "[]")
        assert await gateway.json("/extensions") == [
            "/extensions/core/own.js",
            "/extensions/pack/pack.js",
        ]

    async def test_nothing_outside_of_it_is_ever_read(
        self, start: Start, tmp_path: Path, pinned: dict[str, Any]
    ) -> None:
        outside = tmp_path.with_name(tmp_path.name + "-outside")
        outside.mkdir()
        (outside / "secret.txt").write_text("secret")
        (tmp_path / "link.txt").symlink_to(outside / "secret.txt")
        gateway = await start(pinned)
        for path in ("/link.txt", f"/..%2f{outside.name}%2fsecret.txt", "/%2e%2e/secret.txt"):
            assert await gateway.raw(path) == (404, b"")
