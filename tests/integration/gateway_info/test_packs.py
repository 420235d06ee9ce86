"""Routes of node packs through the gateway: closed by default, scoped to the caller, admins' for admins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from config.settings import Settings
from scheduler.ledger import Admitted, Grant
from scheduler.states import WorkerState
from tests.factories import new_job, worker
from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, VIC, Gateway, Start, as_user

ADA = as_user("ada")
PACKS = ["custom-scripts", "video-helper-suite", "impact", "rgthree", "crystools", "easy-use",
         "manager"]  # fmt: skip
OPEN: dict[str, Any] = {**KEYS, "gateway": {"packs": PACKS}}


async def ask(
    gateway: Gateway, method: str, path: str, who: Mapping[str, str] = ANN, **options: Any
) -> tuple[int, bytes]:
    answer = await gateway.client.request(method, path, headers=who, **options)
    return answer.status, await answer.read()


async def test_by_default_no_route_of_a_pack_is_there(gateway: Gateway) -> None:
    gateway.agent.routes["pack:pysssss/loras"] = ["a"]
    assert await ask(gateway, "GET", "/pysssss/loras") == (404, b"")
    assert (await ask(gateway, "POST", "/manager/queue/install", ADA))[0] == 405
    assert gateway.agent.packs == []


async def test_a_reading_route_is_served_by_a_worker_that_has_the_pack(start: Start) -> None:
    gateway = await start(OPEN, workers=2)
    gateway.agent.routes["host-1:pack:pysssss/loras"] = ["a"]
    assert await gateway.json("/pysssss/loras", VIC) == ["a"]
    assert [entry[0] for entry in gateway.agent.packs] == ["host-0", "host-1"]
    gateway.agent.routes["host-1:pack:api/pysssss/loras"] = ["b"]
    assert await gateway.json("/api/pysssss/loras") == ["b"]


async def test_neither_credentials_nor_cookies_nor_names_reach_a_pack(start: Start) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes["pack:pysssss/loras"] = []
    sent = {**ANN, "Cookie": "x=1", "X-API-Key": "key-of-ann-01", "comfy-user": "ann",
            "X-Forwarded-For": "1.2.3.4", "Origin": "http://127.0.0.1"}  # fmt: skip
    await ask(gateway, "GET", "/pysssss/loras", sent)
    (entry,) = gateway.agent.packs
    assert not {"cookie", "x-api-key", "comfy-user", "x-forwarded-for", "origin"} & {
        name.lower() for name in entry[3]
    }
    assert "key-of-ann" not in str(entry)


async def test_a_redirect_of_a_pack_is_not_followed(start: Start) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes["pack:pysssss/loras"] = lambda: web.Response(
        status=302, headers={"Location": "http://127.0.0.1:1/"}
    )
    assert await ask(gateway, "GET", "/pysssss/loras") == (404, b"")


async def test_host_paths_are_left_out_where_a_row_says_so(start: Start) -> None:
    gateway = await start(OPEN)
    told = {"data": [{"file": "a", "path": "/srv/models/a", "images": [{"path": "/x"}]}]}
    gateway.agent.routes["pack:rgthree/api/loras/info"] = told
    assert await gateway.json("/rgthree/api/loras/info?files=a") == {
        "data": [{"file": "a", "images": [{}]}]
    }


async def test_a_video_of_ones_own_reaches_the_worker_that_has_it_by_its_name(
    start: Start,
) -> None:
    gateway = await start(OPEN, workers=2)
    gateway.agent.routes["pack:vhs/viewvideo"] = {"played": True}
    folder, name = await gateway.output("ann", b"film", "film.mp4")
    query = {"filename": name, "subfolder": folder, "type": "output", "frame_load_cap": "8"}
    status, _ = await ask(gateway, "GET", "/vhs/viewvideo", params=query)
    assert status == 200
    (entry,) = gateway.agent.packs
    assert entry[0] == "host-0"
    assert "subfolder=vg_ann" in entry[2]
    assert "frame_load_cap=8" in entry[2]


@pytest.mark.parametrize("path", ["/vhs/viewvideo", "/vhs/queryvideo", "/vhs/viewaudio"])
async def test_a_video_of_another_user_does_not_exist(start: Start, path: str) -> None:
    gateway = await start(OPEN)
    folder, name = await gateway.output("ann", b"film", "film.mp4")
    for subfolder in (folder, "vg_ann", "vg/ann", f"../{folder}"):
        query = {"filename": name, "subfolder": subfolder, "type": "output"}
        assert (await ask(gateway, "GET", path, BOB, params=query))[0] in (403, 404)
    assert gateway.agent.packs == []


@pytest.mark.parametrize(
    "query",
    [
        {"filename": "/etc/passwd", "type": "path"},
        {"filename": "http://127.0.0.1/x", "type": "input"},
        {"filename": "frames", "type": "output", "format": "folder"},
    ],
)
async def test_a_video_route_reads_nothing_else(start: Start, query: dict[str, str]) -> None:
    gateway = await start(OPEN)
    status, body = await ask(gateway, "GET", "/vhs/viewvideo", params=query)
    assert status == 400
    assert b"not open for such a parameter" in body
    assert gateway.agent.packs == []


async def test_an_uploaded_video_is_played_as_it_is(start: Start) -> None:
    gateway = await start(OPEN)
    form = aiohttp.FormData({"type": "input"})
    form.add_field("image", b"film", filename="film.mp4", content_type="video/mp4")
    answer = await gateway.client.post("/upload/image", data=form, headers=ANN)
    name = (await answer.json())["name"]
    query = {"filename": name, "type": "input"}
    assert await ask(gateway, "GET", "/vhs/viewvideo", params=query) == (200, b"film")
    assert await ask(gateway, "GET", "/vhs/queryvideo", params=query) == (200, b"{}")
    assert (await ask(gateway, "GET", "/vhs/viewvideo", BOB, params=query))[0] == 404


async def test_whether_a_file_is_there_is_told_of_ones_own_only(start: Start) -> None:
    gateway = await start(OPEN)
    folder, name = await gateway.output("ann", b"x")
    query = {"filename": f"{name} [output]", "subfolder": folder}
    assert await ask(gateway, "GET", "/view/validate", params=query) == (200, b"")
    assert (await ask(gateway, "GET", "/view/validate", BOB, params=query))[0] == 400
    assert gateway.agent.packs == []


async def run(gateway: Gateway, user: str, on: str) -> None:
    job = new_job(user, need_bytes=0, needs_gpu=False)
    await gateway.ledger.submit(job, b"{}", max_queued=None)
    epoch = await gateway.ledger.lead("test", 60_000)
    assert epoch is not None
    snapshot = await gateway.ledger.snapshot(10)
    (queued,) = [one for lines in snapshot.backlogs for one in lines.jobs if one.id == job.id]
    (place,) = [one for one in snapshot.workers if one.id == on]
    grant = Grant(bytes=0, capacity_bytes=0)
    admitted = await gateway.ledger.admit(epoch, queued, place, grant, 60_000)
    assert isinstance(admitted, Admitted)
    await gateway.ledger.claim(job.id, 1, on, job.id, "sid", 60_000)


async def test_a_message_to_a_running_node_reaches_only_workers_that_run_the_callers(
    start: Start,
) -> None:
    gateway = await start(OPEN, workers=2)
    gateway.agent.routes["pack:easyuse/image_chooser_message"] = {"code": 1}
    await run(gateway, "ann", "host-0")
    await run(gateway, "bob", "host-1")
    body = {"node_id": "7", "action": "select", "selected": [0]}
    status, _ = await ask(gateway, "POST", "/easyuse/image_chooser_message", BOB, json=body)
    assert status == 200
    assert [entry[0] for entry in gateway.agent.packs] == ["host-1"]
    status, text = await ask(gateway, "POST", "/easyuse/image_chooser_message", ADA, json=body)
    assert status == 400
    assert b"None of your prompts is running" in text


async def test_what_changes_a_worker_is_accepted_and_not_passed_on(start: Start) -> None:
    gateway = await start(OPEN)
    assert await ask(gateway, "POST", "/easyuse/cleangpu") == (200, b"")
    assert await ask(gateway, "PATCH", "/crystools/monitor", json={"rate": 1}) == (200, b"")
    assert gateway.agent.packs == []


@pytest.mark.parametrize("who", [ANN, BOB, VIC], ids=["ann", "bob", "vic"])
@pytest.mark.parametrize("path", ["/manager/reboot", "/api/v2/manager/reboot", "/easyuse/reboot"])
async def test_admin_routes_are_closed_to_everybody_else(
    start: Start, who: dict[str, str], path: str
) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes[f"pack:{path[1:]}"] = {}
    assert (await ask(gateway, "GET", path, who))[0] == 403
    assert gateway.agent.packs == []


async def test_an_admin_says_which_worker_is_meant(start: Start) -> None:
    gateway = await start(OPEN, workers=2)
    gateway.agent.routes["pack:manager/reboot"] = {}
    status, body = await ask(gateway, "GET", "/manager/reboot", ADA)
    assert status == 400
    assert b"host-0, host-1" in body
    assert (await ask(gateway, "GET", "/manager/reboot?worker=host-1&x=1", ADA))[0] == 200
    named = {**ADA, "X-Vramgate-Worker": "host-0"}
    assert (await ask(gateway, "GET", "/manager/reboot", named))[0] == 200
    assert [(one[0], one[2]) for one in gateway.agent.packs] == [
        ("host-1", "manager/reboot?x=1"),
        ("host-0", "manager/reboot"),
    ]
    assert (await ask(gateway, "GET", "/manager/reboot?worker=host-9", ADA))[0] == 400


async def test_a_single_worker_need_not_be_named(start: Start) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes["pack:manager/queue/install"] = {"ok": 1}
    status, body = await ask(gateway, "POST", "/manager/queue/install", ADA, json={"id": "x"})
    assert (status, body) == (200, b'{"ok": 1}')
    assert gateway.agent.packs[0][4] == b'{"id": "x"}'


async def test_another_sites_link_reboots_nothing(start: Start) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes["pack:manager/reboot"] = {}
    answer = await gateway.client.post(
        "/login", data={"key": "key-of-ada-01"}, allow_redirects=False
    )
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    gateway.client.session.cookie_jar.clear()
    for more in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"},
                 {"Sec-Fetch-Site": "same-site"}):  # fmt: skip
        assert (await ask(gateway, "GET", "/manager/reboot", {**cookie, **more}))[0] == 403
    assert gateway.agent.packs == []
    for more in ({"Sec-Fetch-Site": "same-origin"}, {"Comfy-User": ""}):
        assert (await ask(gateway, "GET", "/manager/reboot", {**cookie, **more}))[0] == 200


async def test_a_studios_own_route_is_its_admins_until_the_file_says_otherwise(
    start: Start,
) -> None:
    routes: list[dict[str, str]] = [{"path": "/studio/{tail:*}"}]
    gateway = await start({**KEYS, "gateway": {"routes": routes}})
    gateway.agent.routes["pack:studio/list"] = [1]
    assert (await ask(gateway, "GET", "/studio/list"))[0] == 403
    assert (await ask(gateway, "GET", "/studio/list", ADA))[0] == 200
    routes[0]["access"] = "read"
    gateway.config[0] = Settings.model_validate({**KEYS, "gateway": {"routes": routes}})
    assert (await ask(gateway, "GET", "/studio/list"))[0] == 200
    assert (await ask(gateway, "POST", "/studio/list"))[0] == 405


async def test_a_silent_worker_is_told_so(start: Start) -> None:
    gateway = await start(OPEN)
    gateway.agent.routes["pack:pysssss/loras"] = lambda: web.Response(status=502)
    assert (await ask(gateway, "GET", "/pysssss/loras"))[0] == 502
    await gateway.report([worker("host-0", "host-gpu", state=WorkerState.DOWN)])
    await asyncio.sleep(0)
    assert (await ask(gateway, "GET", "/pysssss/loras"))[0] == 503


async def test_a_body_over_the_limit_reaches_no_pack(start: Start) -> None:
    gateway = await start({**KEYS, "gateway": {"packs": PACKS, "max_body": 1000}})
    gateway.agent.routes["pack:manager/queue/install"] = {}
    assert (await ask(gateway, "POST", "/manager/queue/install", ADA, data=b"x" * 2000))[0] == 413
    assert gateway.agent.packs == []
