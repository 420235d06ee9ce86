"""Outputs of mates: by which names they are seen, and by which they are not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.comfy_api.inputs import find_files
from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, USERS, Gateway, Start, as_user
from tests.integration.gateway_info.test_files import BLUE, RED, upload, view

MIA = as_user("mia")
SHARING: dict[str, Any] = {
    **KEYS,
    "users": [*USERS, {"name": "mia", "group": "film", "key": "key-of-mia-01"}],
    "groups": [{"name": "film", "share_outputs": True}],
}


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """Ann and mia share their outputs."""
    return await start(SHARING)


async def make(gateway: Gateway, user: str, folder: str, name: str, body: bytes) -> dict[str, str]:
    """An output in a folder of the user's; as frames and history name it."""
    below = f"vg/{user}/{folder}".rstrip("/")
    gateway.agent.files["output", below, name] = body
    (record,) = await gateway.ledger.name_files(user, "host", "host-0", [("output", below, name)])
    return {"filename": record.filename, "subfolder": record.subfolder}


async def test_a_mates_output_is_in_a_folder_of_the_mates_name(gateway: Gateway) -> None:
    await make(gateway, "mia", "", "x_00001_.png", b"top")
    await make(gateway, "mia", "shots/a", "x_00001_.png", b"deep")
    await make(gateway, "ann", "", "x_00001_.png", b"own")
    assert await view(gateway, filename="x_00001_.png") == (200, b"own")
    assert await view(gateway, filename="x_00001_.png", subfolder="@mia") == (200, b"top")
    assert await view(gateway, filename="x_00001_.png", subfolder="@mia/shots/a") == (200, b"deep")
    assert await view(gateway, MIA, filename="x_00001_.png", subfolder="@ann") == (200, b"own")
    assert (await view(gateway, BOB, filename="x_00001_.png", subfolder="@mia"))[0] == 404


async def test_outputs_are_listed_with_the_mates_after_ones_own(gateway: Gateway) -> None:
    await make(gateway, "mia", "", "m.png", b"m")
    await make(gateway, "mia", "deep", "d.png", b"d")
    await make(gateway, "ann", "", "a.png", b"a")
    await upload(gateway, RED, "sent.png", MIA, type="output")
    listed = await gateway.json("/internal/files/output", ANN)
    assert listed == ["a.png", "@mia/m.png", "@mia/sent.png"]
    for name, body in zip(listed, (b"a", b"m", RED), strict=True):
        assert await view(gateway, filename=name, type="output") == (200, body)
    assert await gateway.json("/internal/files/output", BOB) == []


@pytest.mark.parametrize("kind", ["input", "temp"])
async def test_uploads_and_temporary_files_are_not_shared(gateway: Gateway, kind: str) -> None:
    await upload(gateway, RED, "p.png", MIA, type=kind)
    for query in (
        {"filename": "p.png", "subfolder": "@mia", "type": kind},
        {"filename": "p.png", "subfolder": "@mia"},
        {"filename": "@mia/p.png", "type": kind},
    ):
        assert (await view(gateway, ANN, **query))[0] == 404
    assert await gateway.json(f"/internal/files/{kind}", ANN) == []


async def test_a_node_that_lists_outputs_offers_the_mates(gateway: Gateway) -> None:
    options = {"image_upload": True, "image_folder": "output"}
    declared = {"input": {"required": {"image": [[], options]}}, "output_node": False}
    gateway.agent.routes["object_info"] = {"LoadImageOutput": declared}
    await make(gateway, "mia", "", "m.png", b"m")

    async def offered(who: dict[str, str]) -> Any:
        told = await gateway.json("/object_info", who)
        return told["LoadImageOutput"]["input"]["required"]["image"][0]

    assert await offered(ANN) == ["@mia/m.png"]
    assert await offered(BOB) == []
    settings = gateway.config[0]
    gateway.config[0] = settings.model_copy(update={"groups": ()})
    assert await offered(ANN) == []


async def test_a_mates_output_is_an_input_whose_bytes_are_pinned(gateway: Gateway) -> None:
    await make(gateway, "mia", "shots", "x_00001_.png", b"of mia")
    path = "@mia/shots/x_00001_.png"
    asked = {("output", path): f"{path} [output]"}
    (pinned,) = (await find_files(gateway.services, "ann", asked)).values()
    assert (pinned.path, pinned.size_bytes) == (f"{path} [output]", len(b"of mia"))
    stored = gateway.services.blobs.path(pinned.sha256)
    assert stored is not None
    assert stored.read_bytes() == b"of mia"
    assert await find_files(gateway.services, "bob", asked) == {}
    for kind in ("input", "temp"):
        other = {(kind, path): f"{path} [{kind}]"}
        assert await find_files(gateway.services, "ann", other) == {}


async def test_no_folder_of_ones_own_outputs_is_called_as_a_mates(gateway: Gateway) -> None:
    """Neither a prefix nor an upload can put a file where a mate's are looked for."""
    made = await make(gateway, "ann", "@mia", "x_00001_.png", b"own")
    assert made == {"filename": "x_00001_.png", "subfolder": "_@mia"}
    assert await view(gateway, ANN, **made) == (200, b"own")
    sent = await upload(gateway, BLUE, "u.png", type="output", subfolder="@mia")
    assert sent == {"name": "u.png", "subfolder": "_@mia", "type": "output"}
    assert await view(gateway, filename="u.png", subfolder="_@mia") == (200, BLUE)
    for name in ("x_00001_.png", "u.png"):
        assert (await view(gateway, filename=name, subfolder="@mia"))[0] == 404
    kept = await upload(gateway, BLUE, "u.png", type="input", subfolder="@mia")
    assert kept["subfolder"] == "@mia"


async def test_reviewed_routes_of_packs_take_a_mates_output_and_a_studios_own_do_not(
    start: Start,
) -> None:
    """Nobody has read what the studio's route does with a file."""
    routes = [{"path": "/mypack/trim", "access": "own_file"}]
    gateway = await start(
        {**SHARING, "gateway": {"packs": ["video-helper-suite"], "routes": routes}}
    )
    gateway.agent.routes |= {"pack:vhs/viewvideo": {"played": 1}, "pack:mypack/trim": {"cut": 1}}
    await make(gateway, "mia", "shots", "v.mp4", b"film")
    query = {"filename": "v.mp4", "subfolder": "@mia/shots"}
    for path, who, status in (
        ("/vhs/viewvideo", ANN, 200),
        ("/vhs/viewvideo", BOB, 404),
        ("/mypack/trim", ANN, 404),
    ):
        answer = await gateway.client.get(path, params=query, headers=who)
        assert answer.status == status, (path, who)
    ((_, _, path, _, _),) = gateway.agent.packs
    assert "subfolder=vg/mia/shots" in path or "subfolder=vg%2Fmia%2Fshots" in path
