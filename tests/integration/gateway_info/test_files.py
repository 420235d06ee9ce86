from __future__ import annotations

import io
import json
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import FormData
from PIL import Image, PngImagePlugin

from gateway.comfy_api.inputs import find_files
from gateway.errors import TooLarge
from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, VIC, Gateway, Start, png

RED, BLUE = png((255, 0, 0)), png((0, 0, 255))


async def upload(
    gateway: Gateway,
    body: bytes = RED,
    name: str = "pic.png",
    who: dict[str, str] = ANN,
    path: str = "/upload/image",
    status: int = 200,
    **fields: str,
) -> Any:
    form = FormData(quote_fields=False)  # browsers send names as they are
    form.add_field("image", body, filename=name, content_type="image/png")
    for key, value in fields.items():
        form.add_field(key, value)
    answer = await gateway.client.post(path, data=form, headers=who)
    assert answer.status == status, await answer.text()
    return await answer.json() if status == 200 else await answer.text()


async def view(gateway: Gateway, who: dict[str, str] = ANN, **query: str) -> tuple[int, bytes]:
    answer = await gateway.client.get("/view", params=query, headers=who)
    return answer.status, await answer.read()


class TestUpload:
    async def test_names_follow_comfyuis_rules(self, gateway: Gateway) -> None:
        first = await upload(gateway)
        assert first == {"name": "pic.png", "subfolder": "", "type": "input"}
        assert await upload(gateway) == first
        assert (await upload(gateway, BLUE))["name"] == "pic (1).png"
        assert (await upload(gateway, BLUE))["name"] == "pic (1).png"
        assert await upload(gateway, BLUE, overwrite="true") == first
        assert await view(gateway, filename="pic.png", type="input") == (200, BLUE)
        assert (await upload(gateway, RED, overwrite="1"))["name"] == "pic.png"
        assert await view(gateway, filename="pic.png", type="input") == (200, RED)

    async def test_a_name_may_hold_dots_in_a_row(self, gateway: Gateway) -> None:
        kept = await upload(gateway, name="take..2.png")
        assert kept["name"] == "take..2.png"
        files = await find_files(gateway.services, "ann", {("input", kept["name"]): kept["name"]})
        assert [file.path for file in files.values()] == ["take..2.png"]

    async def test_of_a_field_that_comes_twice_the_first_counts(self, gateway: Gateway) -> None:
        await upload(gateway)
        form = FormData()
        form.add_field("image", BLUE, filename="pic.png", content_type="image/png")
        for value in ("true", "false"):
            form.add_field("overwrite", value)
        answer = await gateway.client.post("/upload/image", data=form, headers=ANN)
        assert (await answer.json())["name"] == "pic.png"
        assert await view(gateway, filename="pic.png", type="input") == (200, BLUE)

    async def test_types_and_subfolders_are_kept_apart(self, gateway: Gateway) -> None:
        kept = await upload(gateway, subfolder="a/sub", type="input")
        assert kept == {"name": "pic.png", "subfolder": "a/sub", "type": "input"}
        assert (await upload(gateway, type="temp"))["type"] == "temp"
        assert (await upload(gateway, type="output"))["type"] == "output"
        assert (await view(gateway, filename="pic.png", type="input"))[0] == 404
        found = await view(gateway, filename="pic.png", type="input", subfolder="a/sub")
        assert found == (200, RED)
        assert await view(gateway, filename="pic.png") == (200, RED)
        assert await view(gateway, filename="pic.png", type="temp") == (200, RED)

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("pic.png", {"type": "weird"}),
            ("pic.png", {"subfolder": "../.."}),
            ("pic.png", {"subfolder": "/etc"}),
            ("..", {}),
        ],
    )
    async def test_what_leaves_the_users_space_is_refused(
        self, gateway: Gateway, name: str, fields: dict[str, str]
    ) -> None:
        await upload(gateway, name=name, status=400, **fields)
        assert await gateway.json("/internal/files/input") == []

    async def test_a_form_without_a_picture_is_a_400_without_words(self, gateway: Gateway) -> None:
        form = FormData({"subfolder": "x"}, default_to_multipart=True)
        answer = await gateway.client.post("/upload/image", data=form, headers=ANN)
        assert (answer.status, await answer.read()) == (400, b"")

    async def test_a_body_that_is_no_form_is_a_400(self, gateway: Gateway) -> None:
        for data, kind in ((b"{}", "application/json"), (b"xx", "multipart/form-data; boundary=b")):
            headers = {**ANN, "Content-Type": kind}
            answer = await gateway.client.post("/upload/image", data=data, headers=headers)
            assert answer.status == 400, kind

    async def test_a_viewer_uploads_nothing(self, gateway: Gateway) -> None:
        await upload(gateway, who=VIC, status=403)

    async def test_too_large_a_file_is_refused_whether_its_size_is_told_or_not(
        self, start: Start
    ) -> None:
        gateway = await start({**KEYS, "gateway": {"max_body": 2000}})
        text = await upload(gateway, b"x" * 3000, status=413)
        assert json.loads(text)["error"]["type"] == "too_large"

        async def untold() -> Any:
            yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            for _ in range(5):
                yield b"x" * 1000
            yield b"\r\n--b--\r\n"

        headers = {**ANN, "Content-Type": "multipart/form-data; boundary=b"}
        answer = await gateway.client.post("/upload/image", data=untold(), headers=headers)
        assert answer.status == 413
        assert not [path for path in gateway.files_dir.rglob("*") if path.is_file()]

    async def test_an_upload_never_takes_the_name_of_an_output(self, gateway: Gateway) -> None:
        folder, name = await gateway.output("ann", b"made")
        kept = await upload(gateway, name=name, subfolder=folder, type="output")
        assert kept["name"] != name
        assert await view(gateway, filename=name, subfolder=folder) == (200, b"made")


class TestIsolation:
    async def test_one_users_upload_is_nowhere_for_another(self, gateway: Gateway) -> None:
        await upload(gateway, RED, "secret.png")
        await upload(gateway, RED, "secret.png", type="temp")
        for kind in ("input", "temp", "output"):
            assert (await view(gateway, BOB, filename="secret.png", type=kind))[0] == 404
            assert await gateway.json(f"/internal/files/{kind}", BOB) == []

    async def test_another_users_name_is_free_and_overwriting_it_changes_only_ones_own(
        self, gateway: Gateway
    ) -> None:
        await upload(gateway, RED)
        assert (await upload(gateway, BLUE, who=BOB, overwrite="true"))["name"] == "pic.png"
        assert await view(gateway, ANN, filename="pic.png", type="input") == (200, RED)
        assert await view(gateway, BOB, filename="pic.png", type="input") == (200, BLUE)

    async def test_one_users_output_is_nowhere_for_another(self, gateway: Gateway) -> None:
        folder, name = await gateway.output("ann", b"made by ann")
        assert await view(gateway, ANN, filename=name, subfolder=folder) == (200, b"made by ann")
        for sub in (folder, "vg_ann", "", "../vg_ann"):
            status, _ = await view(gateway, BOB, filename=name, subfolder=sub)
            assert status in (404, 403)
        assert await gateway.json("/internal/files/output", BOB) == []

    async def test_a_mask_cannot_be_put_on_another_users_picture(self, gateway: Gateway) -> None:
        await upload(gateway, RED, "secret.png")
        ref = json.dumps({"filename": "secret.png", "type": "input"})
        drawn = png((0, 0, 0, 9))
        await upload(gateway, drawn, "m.png", BOB, "/upload/mask", original_ref=ref)
        assert (await view(gateway, BOB, filename="m.png", type="input"))[0] == 404


class TestView:
    @pytest.mark.parametrize("asked", ["e\u0301_00001_.png", "\u00e9_00001_.png"])
    async def test_an_output_with_accents_apart_is_found_in_either_spelling(
        self, gateway: Gateway, asked: str
    ) -> None:
        folder, name = await gateway.output("ann", RED, "e\u0301_00001_.png")
        assert name == "e\u0301_00001_.png"
        assert await view(gateway, filename=asked, subfolder=folder) == (200, RED)

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ({"type": "input"}, 404),
            ({"filename": ""}, 400),
            ({"filename": "../server.py", "type": "input"}, 400),
            ({"filename": "/etc/hostname"}, 400),
            ({"filename": "pic.png", "type": "weird"}, 400),
            ({"filename": "pic.png", "type": "input", "subfolder": "../.."}, 403),
            ({"filename": "pic.png"}, 404),
            ({"filename": "a/"}, 404),
            ({"filename": "."}, 404),
            ({"filename": "x" * 300}, 404),
            ({"filename": "pic.png", "type": "input", "subfolder": "a\n"}, 404),
            ({"filename": "pic.png", "type": "input"}, 200),
            ({"filename": "pic.png [input]"}, 200),
            ({"filename": "pic.png", "type": "input", "rand": "0.1"}, 200),
        ],
    )
    async def test_statuses_are_those_recorded_from_comfyui(
        self, gateway: Gateway, query: dict[str, str], status: int
    ) -> None:
        await upload(gateway)
        assert (await view(gateway, **query))[0] == status
        answer = await gateway.client.get("/api/view", params=query, headers=ANN)
        assert answer.status == status

    async def test_conditions_and_ranges_hold(self, gateway: Gateway) -> None:
        await upload(gateway)
        url = "/view?filename=pic.png&type=input"
        whole = await gateway.client.get(url, headers=ANN)
        tag = whole.headers["ETag"]
        assert tag == f'"{sha256(RED).hexdigest()}"'
        assert whole.headers["Content-Disposition"] == 'filename="pic.png"'
        assert whole.headers["Content-Type"] == "image/png"
        assert "Last-Modified" in whole.headers

        async def ask(**headers: str) -> tuple[int, bytes]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = await gateway.client.get(url, headers={**ANN, **named})
            assert answer.headers["ETag"] == tag
            return answer.status, await answer.read()

        assert await ask(If_None_Match=tag) == (304, b"")
        assert await ask(If_None_Match='"other"') == (200, RED)
        assert await ask(If_Match='"other"') == (412, b"")
        assert await ask(Range="bytes=0-9") == (206, RED[:10])
        assert await ask(Range="bytes=-4") == (206, RED[-4:])
        assert await ask(Range="bytes=2-", If_Range=tag) == (206, RED[2:])
        assert await ask(Range="bytes=2-", If_Range='"other"') == (200, RED)
        beyond = {**ANN, "Range": f"bytes={len(RED)}-"}
        assert (await gateway.client.get(url, headers=beyond)).status == 416

    async def test_head_answers_as_get_without_a_body(self, gateway: Gateway) -> None:
        await upload(gateway)
        folder, name = await gateway.output("ann", b"made")
        for query, size in (
            ("filename=pic.png&type=input", len(RED)),
            (f"filename={name}&subfolder={folder}", 4),
        ):
            answer = await gateway.client.head(f"/view?{query}", headers=ANN)
            assert (answer.status, answer.content_length) == (200, size)

    async def test_previews_and_channels_of_uploads_are_made_here(self, gateway: Gateway) -> None:
        await upload(gateway)
        base = "/view?filename=pic.png&type=input"
        for query, kind in (
            ("preview=webp;50", "image/webp"),
            ("preview=jpeg;90&channel=rgb", "image/jpeg"),
            ("channel=rgb", "image/png"),
            ("channel=a", "image/png"),
        ):
            answer = await gateway.client.get(f"{base}&{query}", headers=ANN)
            assert (answer.status, answer.content_type) == (200, kind)
            assert Image.open(io.BytesIO(await answer.read())).size == (8, 8)

    async def test_outputs_come_from_the_agent_under_the_users_name(self, gateway: Gateway) -> None:
        await gateway.output("bob", b"first")
        folder, name = await gateway.output("ann", b"made by ann")
        answer = await gateway.client.get(
            "/view", params={"filename": name, "subfolder": folder}, headers=ANN
        )
        assert await answer.read() == b"made by ann"
        assert answer.headers["Content-Disposition"] == f'filename="{name}"'
        assert answer.headers["ETag"] == '"on-disk"'

    async def test_ranges_conditions_and_previews_are_passed_to_the_agent(
        self, gateway: Gateway
    ) -> None:
        folder, name = await gateway.output("ann", b"made by ann")
        query = {"filename": name, "subfolder": folder}
        part = await gateway.client.get(
            "/view", params=query, headers={**ANN, "Range": "bytes=0-3"}
        )
        assert (part.status, await part.read()) == (206, b"made")
        assert part.headers["Content-Range"] == "bytes 0-3/11"
        same = await gateway.client.get(
            "/view", params=query, headers={**ANN, "If-None-Match": '"on-disk"'}
        )
        assert same.status == 304
        shown = await gateway.client.get(
            "/view", params={**query, "preview": "webp;9"}, headers=ANN
        )
        assert await shown.read() == b"preview:webp;9"

    async def test_a_file_that_the_worker_lost_is_a_404_and_a_lost_agent_a_502(
        self, gateway: Gateway
    ) -> None:
        folder, name = await gateway.output("ann", b"x")
        gateway.agent.files.clear()
        assert (await view(gateway, filename=name, subfolder=folder))[0] == 404
        (record,) = await gateway.ledger.name_files(
            "ann", "elsewhere", "elsewhere-0", [("output", "", "y.png")]
        )
        status, body = await view(gateway, filename=record.filename, subfolder=record.subfolder)
        assert status == 502
        assert json.loads(body)["error"]["type"] == "upstream_down"

    @pytest.mark.parametrize("name", ["x.svg", "x.html", "x.js", "x.XML", "x.xhtml", "x.htm"])
    async def test_what_a_browser_would_run_is_a_sandboxed_download(
        self, gateway: Gateway, name: str
    ) -> None:
        await upload(gateway, b"<svg onload=alert(1)>", name)
        folder, made = await gateway.output("ann", b"<script>", f"y{name}")
        for query in (
            {"filename": name, "type": "input"},
            {"filename": made, "subfolder": folder, "type": "output"},
        ):
            answer = await gateway.client.get("/view", params=query, headers=ANN)
            assert answer.headers["Content-Disposition"].startswith("attachment;")
            assert answer.headers["Content-Security-Policy"].startswith("sandbox")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.content_type in ("application/octet-stream", "image/svg+xml")

    async def test_names_beyond_ascii_come_through(self, gateway: Gateway) -> None:
        await upload(gateway, RED, "Bücher 図.png")
        answer = await gateway.client.get(
            "/view", params={"filename": "Bücher 図.png", "type": "input"}, headers=ANN
        )
        assert answer.status == 200
        said = answer.headers["Content-Disposition"]
        assert said.endswith("filename*=UTF-8''B%C3%BCcher%20%E5%9B%B3.png")

    async def test_an_output_that_only_the_store_remembers_is_found(self, gateway: Gateway) -> None:
        (record,) = await gateway.ledger.name_files(
            "zoe", "host", "host-0", [("output", "", "z.png")]
        )
        gateway.agent.files["output", "", "z.png"] = b"old"
        archive: Any = gateway.services.archive
        archive.files["ann", "output", "", "z.png"] = record
        assert await view(gateway, filename="z.png") == (200, b"old")
        assert (await view(gateway, BOB, filename="z.png"))[0] == 404
        asked = {("output", "z.png"): "z.png [output]"}
        ((_, named),) = (await find_files(gateway.services, "ann", asked)).items()
        assert (named.path, named.size_bytes) == ("z.png [output]", len(b"old"))
        stored = gateway.services.blobs.path(named.sha256)
        assert stored is not None
        assert stored.read_bytes() == b"old"
        assert await find_files(gateway.services, "bob", asked) == {}

    async def test_an_output_over_the_limit_is_no_input_and_leaves_nothing(
        self, start: Start
    ) -> None:
        gateway = await start({**KEYS, "gateway": {"max_body": 64 * 1024}})
        folder, name = await gateway.output("ann", b"x" * (64 * 1024 + 1))
        path = f"{folder}/{name}" if folder else name
        with pytest.raises(TooLarge):
            await find_files(gateway.services, "ann", {("output", path): f"{path} [output]"})
        assert not [one for one in gateway.files_dir.rglob("*") if one.is_file()]


class TestMask:
    def reference(self, **changes: str) -> str:
        return json.dumps({"filename": "pic.png", "subfolder": "", "type": "input"} | changes)

    async def test_the_masks_alpha_lands_on_the_originals_colours(self, gateway: Gateway) -> None:
        info = PngImagePlugin.PngInfo()
        info.add_text("prompt", '{"1": {}}')
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (10, 20, 30)).save(out, "png", pnginfo=info)
        await upload(gateway, out.getvalue())
        answer = await upload(
            gateway,
            png((0, 0, 0, 77)),
            "mask.png",
            path="/upload/mask",
            original_ref=self.reference(),
            type="input",
            subfolder="clipspace",
        )
        assert answer == {"name": "mask.png", "subfolder": "clipspace", "type": "input"}
        status, body = await view(
            gateway, filename="mask.png [input]", subfolder="clipspace", type="output"
        )
        assert status == 200
        made = Image.open(io.BytesIO(body))
        assert made.getpixel((3, 3)) == (10, 20, 30, 77)
        assert made.info["prompt"] == '{"1": {}}'

    @pytest.mark.parametrize(
        ("filename", "subfolder"),
        [("clipspace/pic.png", ""), ("clipspace/pic.png [input]", ""), ("in/pic.png", "clipspace")],
    )
    async def test_the_originals_name_may_have_its_folder_in_front(
        self, gateway: Gateway, filename: str, subfolder: str
    ) -> None:
        folder = "clipspace/in" if subfolder else "clipspace"
        await upload(gateway, png((5, 6, 7)), subfolder=folder)
        ref = self.reference(filename=filename, subfolder=subfolder)
        drawn = png((0, 0, 0, 40))
        await upload(gateway, drawn, "m.png", path="/upload/mask", original_ref=ref)
        _, body = await view(gateway, filename="m.png", type="input")
        assert Image.open(io.BytesIO(body)).getpixel((0, 0)) == (5, 6, 7, 40)

    async def test_the_original_may_be_an_output_on_a_worker(self, gateway: Gateway) -> None:
        folder, name = await gateway.output("ann", png((1, 2, 3)))
        await upload(
            gateway,
            png((0, 0, 0, 50)),
            "m.png",
            path="/upload/mask",
            original_ref=self.reference(filename=name, subfolder=folder, type="output"),
        )
        _, body = await view(gateway, filename="m.png", type="input")
        assert Image.open(io.BytesIO(body)).getpixel((0, 0)) == (1, 2, 3, 50)

    async def test_without_an_original_the_answer_is_200_and_nothing_is_kept(
        self, gateway: Gateway
    ) -> None:
        answer = await upload(
            gateway,
            png((0, 0, 0, 9)),
            "mask2.png",
            path="/upload/mask",
            original_ref=self.reference(filename="gone.png"),
        )
        assert answer == {"name": "mask2.png", "subfolder": "", "type": "input"}
        assert (await view(gateway, filename="mask2.png", type="input"))[0] == 404

    @pytest.mark.parametrize(
        ("ref", "status"),
        [
            ("", 400),
            ("[]", 400),
            ("{}", 400),
            ('{"filename": "../x"}', 400),
            ('{"filename": "x.png", "type": "weird"}', 400),
            ('{"filename": "x.png", "subfolder": "../.."}', 403),
        ],
    )
    async def test_a_bad_reference_is_refused(
        self, gateway: Gateway, ref: str, status: int
    ) -> None:
        drawn = png((0, 0, 0, 9))
        await upload(gateway, drawn, "m.png", path="/upload/mask", original_ref=ref, status=status)

    async def test_what_is_no_picture_is_a_400(self, gateway: Gateway) -> None:
        await upload(gateway)
        await upload(
            gateway,
            b"no picture",
            "m.png",
            path="/upload/mask",
            original_ref=self.reference(),
            status=400,
        )
