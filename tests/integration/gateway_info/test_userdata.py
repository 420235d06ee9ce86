"""Statuses and shapes as recorded from ComfyUI 0.3.64 with one user."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.integration.gateway_info.conftest import ANN, BOB, FakeAgent, Gateway, Start

A, NOW = "workflows%2Fa.json", 1_800_000_000.0


async def post(
    gateway: Gateway, path: str, body: bytes = b'{"nodes": []}', who: dict[str, str] = ANN
) -> tuple[int, str]:
    answer = await gateway.client.post(path, data=body, headers=who)
    return answer.status, await answer.text()


async def status(gateway: Gateway, method: str, path: str, who: dict[str, str] = ANN) -> int:
    return (await gateway.client.request(method, path, headers=who)).status


class TestSettings:
    @pytest.fixture(autouse=True)
    def with_templates(self, agent: FakeAgent) -> None:
        agent.routes["templates/index.json"] = []

    async def test_they_are_merged_one_by_one_and_whole(self, gateway: Gateway) -> None:
        assert await gateway.json("/settings") == {}
        assert await gateway.json("/settings/Comfy.Foo") is None
        assert await post(gateway, "/settings/Comfy.Foo", b'{"a":1}') == (200, "")
        assert await post(gateway, "/api/settings", b'{"Comfy.Bar":true}') == (200, "")
        assert await gateway.json("/api/settings") == {"Comfy.Foo": {"a": 1}, "Comfy.Bar": True}
        assert await gateway.json("/settings/Comfy.Foo") == {"a": 1}

    async def test_they_are_each_users_own_whatever_comfy_user_says(self, gateway: Gateway) -> None:
        await post(gateway, "/settings", b'{"mine":1}')
        posing = {**BOB, "comfy-user": "ann"}
        assert await gateway.json("/settings", posing) == {}
        assert await gateway.json("/settings/mine", posing) is None
        await post(gateway, "/settings", b'{"mine":2}', posing)
        assert await gateway.json("/settings") == {"mine": 1}

    async def test_they_do_not_wait_for_a_worker_that_never_answers(
        self, gateway: Gateway, agent: FakeAgent
    ) -> None:
        agent.routes["templates/index.json"] = never = asyncio.Event()
        async with asyncio.timeout(30):
            assert await gateway.json("/settings") == {"Comfy.TutorialCompleted": True}
        never.set()

    @pytest.mark.parametrize("body", [b"", b"{", b"[1]"])
    async def test_a_body_that_is_no_object_is_a_400(self, gateway: Gateway, body: bytes) -> None:
        assert (await post(gateway, "/settings", body))[0] == 400


class TestUserdata:
    async def test_a_user_who_has_none_is_told_as_comfyui_does(self, gateway: Gateway) -> None:
        answer = await gateway.client.get("/userdata", headers=ANN)
        assert (answer.status, await answer.text()) == (400, "Directory not provided")
        for folder in ("workflows", "subgraphs%2F"):
            answer = await gateway.client.get(
                f"/api/userdata?dir={folder}&recurse=true", headers=ANN
            )
            assert (answer.status, await answer.text()) == (404, "Directory not found")
        assert await gateway.json("/v2/userdata") == []
        assert await status(gateway, "GET", "/userdata/none.json") == 404
        assert await status(gateway, "GET", "/api/userdata/user.css") == 404

    async def test_files_are_written_listed_moved_and_deleted(self, gateway: Gateway) -> None:
        info = {"path": "workflows/a.json", "size": 13, "modified": NOW, "created": NOW}
        code, text = await post(gateway, f"/userdata/{A}?overwrite=false&full_info=true")
        assert (code, json.loads(text)) == (200, info)
        again = await post(gateway, f"/userdata/{A}?overwrite=false&full_info=true")
        assert again == (409, "File already exists")
        assert await post(gateway, "/userdata/workflows%2Fb%2Fc.json", b'{"x": 1}') == (
            200,
            '"workflows/b/c.json"',
        )
        listed = await gateway.json(
            "/userdata?dir=workflows&recurse=true&split=false&full_info=true"
        )
        assert [(one["path"], one["size"]) for one in listed] == [("a.json", 13), ("b/c.json", 8)]
        assert await gateway.json("/userdata?dir=workflows&recurse=true&split=true") == [
            ["a.json", "a.json"],
            ["b/c.json", "b", "c.json"],
        ]
        assert await gateway.json("/userdata?dir=workflows") == ["a.json"]
        moved = await post(gateway, f"/userdata/{A}/move/workflows%2Fz.json?overwrite=false", b"")
        assert moved == (200, '"workflows/z.json"')
        assert await status(gateway, "GET", f"/userdata/{A}") == 404
        assert await status(gateway, "DELETE", "/userdata/workflows%2Fz.json") == 204
        assert await status(gateway, "DELETE", "/userdata/workflows%2Fz.json") == 404

    async def test_the_second_listing_has_folders_first(self, gateway: Gateway) -> None:
        await post(gateway, f"/userdata/{A}")
        await post(gateway, "/userdata/workflows%2Fb%2Fc.json", b'{"x": 1}')

        async def paths(query: str) -> list[tuple[str, str, str]]:
            found = await gateway.json(f"/v2/userdata{query}")
            return [(one["name"], one["path"], one["type"]) for one in found]

        below = [
            ("b", "workflows/b", "directory"),
            ("a.json", "workflows/a.json", "file"),
            ("c.json", "workflows/b/c.json", "file"),
        ]
        assert await paths("?path=workflows") == below
        assert await paths("") == [
            below[0],
            ("workflows", "workflows", "directory"),
            *below[1:],
        ]
        assert await status(gateway, "GET", "/v2/userdata?path=nope") == 404
        assert await status(gateway, "GET", "/v2/userdata?path=../x") == 400

    async def test_what_begins_with_a_dot_is_read_but_not_listed(self, gateway: Gateway) -> None:
        for path in (A, "workflows%2F.index.json", "workflows%2F.kept%2Fb.json"):
            await post(gateway, f"/userdata/{path}")
        for query in ("", "&recurse=true"):
            assert await gateway.json(f"/userdata?dir=workflows{query}") == ["a.json"]
        (about,) = await gateway.json("/userdata?dir=workflows&recurse=true&full_info=true")
        assert about["path"] == "a.json"
        assert await gateway.json("/userdata?dir=workflows%2F.kept") == ["b.json"]
        assert await status(gateway, "GET", "/userdata/workflows%2F.index.json") == 200
        entries = await gateway.json("/v2/userdata?path=workflows")
        assert [one["name"] for one in entries] == [".kept", ".index.json", "a.json", "b.json"]

    async def test_a_file_holds_nothing_and_is_no_folder(self, gateway: Gateway) -> None:
        await post(gateway, f"/userdata/{A}")
        assert await gateway.json(f"/userdata?dir={A}") == []
        answer = await gateway.client.get(f"/v2/userdata?path={A}", headers=ANN)
        assert (answer.status, await answer.text()) == (400, "Requested path is not a directory")

    async def test_a_path_that_was_encoded_twice_is_understood(self, gateway: Gateway) -> None:
        stored = await post(gateway, "/userdata/workflows%252Fa%2520b.json")
        assert stored == (200, '"workflows/a b.json"')
        assert await gateway.json("/userdata?dir=workflows%252F") == ["a b.json"]
        assert await status(gateway, "GET", "/userdata/workflows%2Fa%20b.json") == 200
        # a sign that encodes nothing stays
        assert await post(gateway, "/userdata/50%25.json") == (200, '"50%.json"')
        assert (await post(gateway, "/userdata/..%252Fx"))[0] == 403

    async def test_content_comes_back_with_a_tag(self, gateway: Gateway) -> None:
        await post(gateway, f"/userdata/{A}")
        answer = await gateway.client.get(f"/userdata/{A}", headers=ANN)
        assert await answer.json() == {"nodes": []}
        assert answer.content_type == "application/json"
        tag = {"If-None-Match": answer.headers["ETag"]}
        again = await gateway.client.get(f"/userdata/{A}", headers={**ANN, **tag})
        assert again.status == 304

    async def test_a_moved_file_does_not_replace_another_unless_told(
        self, gateway: Gateway
    ) -> None:
        await post(gateway, "/userdata/a.json", b"1")
        await post(gateway, "/userdata/b.json", b"2")
        kept = await post(gateway, "/userdata/a.json/move/b.json?overwrite=false", b"")
        assert kept == (409, "File already exists")
        assert (await post(gateway, "/userdata/a.json/move/b.json", b""))[0] == 200
        assert (await post(gateway, "/userdata/nope.json/move/c.json", b""))[0] == 404

    @pytest.mark.parametrize("path", ["..%2F..%2Fx", "%2Fetc%2Fpasswd", "a%00b", "workflows%2F"])
    async def test_escapes_are_403_on_every_method(self, gateway: Gateway, path: str) -> None:
        for method, url in (
            ("GET", f"/userdata/{path}"),
            ("POST", f"/userdata/{path}"),
            ("DELETE", f"/userdata/{path}"),
            ("POST", f"/userdata/a.json/move/{path}"),
            ("POST", f"/userdata/{path}/move/a.json"),
        ):
            assert await status(gateway, method, url) == 403, (method, url)

    async def test_another_user_sees_changes_and_deletes_nothing(self, gateway: Gateway) -> None:
        await post(gateway, f"/userdata/{A}")
        posing = {**BOB, "comfy-user": "ann"}
        for method, url, code in (
            ("GET", f"/userdata/{A}", 404),
            ("DELETE", f"/userdata/{A}", 404),
            ("POST", f"/userdata/{A}/move/mine.json", 404),
            ("GET", "/userdata?dir=workflows", 404),
            ("GET", "/v2/userdata?path=workflows", 404),
        ):
            assert await status(gateway, method, url, posing) == code, url
        assert await gateway.json("/v2/userdata", posing) == []
        await post(gateway, f"/userdata/{A}", b"bobs", posing)
        assert await status(gateway, "GET", f"/userdata/{A}") == 200
        mine = await gateway.client.get(f"/userdata/{A}", headers=ANN)
        assert await mine.json() == {"nodes": []}

    async def test_a_stored_page_or_script_cannot_run_here(self, gateway: Gateway) -> None:
        for name in ("x.html", "x.svg", "x.js", "sub%2Fuser.css"):
            await post(gateway, f"/userdata/{name}", b"<script>")
            answer = await gateway.client.get(f"/userdata/{name}", headers=ANN)
            assert answer.headers["Content-Disposition"].startswith("attachment"), name

    async def test_the_users_own_style_sheet_is_one(self, gateway: Gateway) -> None:
        await post(gateway, "/userdata/user.css", b"body {}")
        answer = await gateway.client.get("/api/userdata/user.css", headers=ANN)
        assert (answer.content_type, await answer.text()) == ("text/css", "body {}")
        assert "Content-Disposition" not in answer.headers


async def test_there_is_one_user_to_see_and_none_to_add(gateway: Gateway) -> None:
    assert await gateway.json("/users") == {"storage": "server", "migrated": True}
    code, text = await post(gateway, "/users", b'{"username":"eve"}')
    answer: dict[str, Any] = json.loads(text)
    assert code == 403
    assert "error" in answer


class TestNewcomers:
    """Who has no settings: the UI offers templates, which must not be an empty choice."""

    async def test_without_templates_the_tutorial_is_over(self, gateway: Gateway) -> None:
        assert await gateway.json("/settings") == {"Comfy.TutorialCompleted": True}
        assert await gateway.json("/settings/Comfy.TutorialCompleted") is True
        assert await gateway.services.documents.settings("ann") == {}, "a default is not stored"

    async def test_with_templates_nothing_is_said_for_the_user(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes["host-1:templates/index.json"] = [{"title": "first steps"}]
        gateway = await start(workers=2)
        assert await gateway.json("/settings") == {}
        assert await gateway.json("/settings/Comfy.TutorialCompleted") is None

    async def test_a_frontend_opens_no_empty_choice_for_who_has_other_settings(
        self, gateway: Gateway
    ) -> None:
        await gateway.services.documents.change_settings("ann", {"mine": 1})
        asked_by_a_page = {**ANN, "Comfy-User": ""}
        told = {"mine": 1, "Comfy.TutorialCompleted": True}
        assert await gateway.json("/settings", asked_by_a_page) == told
        seen = {"Comfy.TutorialCompleted": False}
        await gateway.services.documents.change_settings("ann", seen)
        assert await gateway.json("/settings", asked_by_a_page) == {"mine": 1, **seen}

    async def test_who_has_settings_gets_those_alone(self, gateway: Gateway) -> None:
        await gateway.services.documents.change_settings("ann", {"mine": 1})
        assert await gateway.json("/settings") == {"mine": 1}
