"""Paths, names and contents that are meant to get out of a user's space, or into a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import FormData

from tests.integration.gateway_info.conftest import ANN, BOB, Gateway
from tests.integration.gateway_info.test_files import RED, upload, view

#: ways to write one step up, and what some system would take for it
CLIMBS = (
    "..", "%2e%2e", "%2E%2e", ".%2e", "%252e%252e", "..%5c", "%c0%ae%c0%ae", "%uff0e%uff0e",
    "%EF%BC%8E%EF%BC%8E", "%E2%80%A4%E2%80%A4", "..%00", "..%20", "....", "..;",
)  # fmt: skip
SLASHES = ("/", "%2f", "%252f", "%5c", "%EF%BC%8F", "%E2%88%95", "%c0%af")


@pytest.fixture
async def secrets(gateway: Gateway) -> Gateway:
    """What nobody but ann may see, under every kind of name."""
    for kind in ("input", "output", "temp"):
        await upload(gateway, b"secret of ann", "secret.png", type=kind)
        await upload(gateway, b"secret of ann", "secret.png", type=kind, subfolder="sub")
    await gateway.output("ann", b"secret of ann", "made_00001_.png")
    await gateway.client.post("/userdata/secret.json", data=b"secret of ann", headers=ANN)
    (gateway.files_dir.parent / "secret.png").write_bytes(b"secret of ann")
    return gateway


@pytest.mark.parametrize("slash", SLASHES)
async def test_no_way_of_writing_a_path_reaches_another_users_file(
    secrets: Gateway, slash: str
) -> None:
    for climb in CLIMBS:
        await _climb(secrets, climb, slash)


async def _climb(secrets: Gateway, climb: str, slash: str) -> None:
    up = (climb + slash) * 3
    for name in ("secret.png", "ann%2fsecret.png", f"vg{slash}ann{slash}secret.png"):
        for path in (
            f"/view?filename={up}{name}&type=input",
            f"/api/view?filename=secret.png&type=output&subfolder={up}ann",
            f"/view?filename={name}%20[input]&subfolder={climb}",
            f"/userdata/{up.replace('/', '%2f')}{name.replace('/', '%2f')}",
            f"/api/userdata/{up}secret.json",
            f"/userdata?dir={up}&recurse=true",
            f"/v2/userdata?path={up}",
            f"/extensions/{up}{name}",
            f"/{up}{name}",
        ):
            status, body = await secrets.raw(path, BOB)
            assert b"secret of ann" not in body, path
            assert status in (200, 301, 302, 400, 403, 404, 405, 503), (path, status)
            assert b"Traceback" not in body


@pytest.mark.parametrize(
    "name",
    [
        "..", "../../x.png", "..\\..\\x.png", "/etc/passwd", "a/../../x.png", "x\x00.png",
        "C:\\x.png", "\\\\host\\share\\x.png", "\u2024\u2024/x.png", "\uff0e\uff0e\uff0fx.png",
        "\u202egnp.x", "a\u200b.png", "e\u0301.png", "x" * 300, "CON", "nul.png", "x. ", ".hidden",
        "pic.zip/../../x", "~", "~root/x", "$HOME", "-rf", " ", "\u00a0", "%2e%2e%2fx.png",
    ],
)  # fmt: skip
async def test_whatever_an_upload_is_called_it_stays_ones_own(secrets: Gateway, name: str) -> None:
    for fields in ({}, {"subfolder": name}, {"type": "temp", "overwrite": "true"}):
        form = await _try_upload(secrets, name, fields)
        if form is None:
            continue
        found = await view(
            secrets, BOB, filename=form["name"], subfolder=form["subfolder"], type=form["type"]
        )
        assert found == (200, RED)
        other = await view(
            secrets, ANN, filename=form["name"], subfolder=form["subfolder"], type=form["type"]
        )
        assert other[1] != RED
    outside = [path for path in gateway_files(secrets) if path.name in ("x.png", "passwd")]
    assert outside == []
    assert await view(secrets, ANN, filename="secret.png", type="input") == (200, b"secret of ann")


async def _try_upload(gateway: Gateway, name: str, fields: dict[str, str]) -> dict[str, str] | None:

    form = FormData(quote_fields=False)
    try:
        form.add_field("image", RED, filename=name, content_type="image/png")
        for key, value in fields.items():
            form.add_field(key, value)
        answer = await gateway.client.post("/upload/image", data=form, headers=BOB)
    except ValueError:
        return None  # no client can send it
    assert answer.status in (200, 400), await answer.text()
    kept: dict[str, str] | None = await answer.json() if answer.status == 200 else None
    return kept


def gateway_files(gateway: Gateway) -> list[Path]:
    return list(gateway.files_dir.parent.rglob("*"))


@pytest.mark.parametrize(
    "name",
    [
        "a.svg", "a.SVGZ", "a.html", "a.xht", "a.xml", "a.xsl", "a.xslt", "a.pdf", "a.mht",
        "a.mhtml", "a.eml", "a.css", "a.js", "a.mjs", "a.swf", "a.hta", "a.rss", "a.shtml",
        "a.png.html", "a.html ",
    ],
)  # fmt: skip
async def test_what_a_browser_would_run_is_a_download(gateway: Gateway, name: str) -> None:
    kept = await upload(gateway, b"<svg onload=alert(1)>", name)
    where = {"filename": kept["name"], "type": "input"}
    for query in ({"preview": "webp;90"}, {"channel": "rgb"}):
        answer = await gateway.client.get("/view", params={**where, **query}, headers=ANN)
        # no picture
        assert (answer.status, answer.content_type) == (400, "application/json")
    answer = await gateway.client.get("/view", params=where, headers=ANN)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.status == 200
    assert answer.content_type in ("application/octet-stream", "image/svg+xml")
    if not name.endswith(" "):
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.pdf", "a.mht", "a.xslt", "a.js"])
async def test_userdata_is_no_page_either(gateway: Gateway, name: str) -> None:
    await gateway.client.post(f"/userdata/{name}", data=b"<script>", headers=ANN)
    answer = await gateway.client.get(f"/userdata/{name}", headers=ANN)
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_text_that_could_be_taken_for_a_page_is_text(gateway: Gateway) -> None:
    for name in ("a.txt", "a.json", "a", "a.unknown"):
        kept = await upload(gateway, b"<html><script>alert(1)</script>", name)
        query = {"filename": kept["name"], "type": "input"}
        answer = await gateway.client.get("/view", params=query, headers=ANN)
        assert answer.content_type in (
            "text/plain", "application/json", "application/octet-stream",
        )  # fmt: skip
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
