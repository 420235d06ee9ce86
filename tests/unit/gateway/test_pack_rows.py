"""Rows of node packs: which request finds one, and what is passed on."""

from __future__ import annotations

import re

import pytest

from config.packs import OWN_PATHS, Access, PackName, PackRoute, is_own
from gateway.packs.presets import PACKS
from gateway.packs.rows import Row, Table, query_of

ALL = Table([row for pack in PACKS.values() for row in pack.rows])


def access(method: str, path: str) -> Access | None:
    found = ALL.find(method, path)
    return found.row.access if found is not None and found.row is not None else None


def test_every_name_in_the_settings_has_a_pack_that_says_what_was_read() -> None:
    assert set(PACKS) == {name.value for name in PackName}
    assert all(re.search(r"\d.*[(/]", pack.source) for pack in PACKS.values())


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_route_is_found_bare_and_under_api(prefix: str) -> None:
    assert access("GET", f"{prefix}/pysssss/autocomplete") is Access.READ
    assert access("HEAD", f"{prefix}/pysssss/autocomplete") is Access.READ
    assert access("POST", f"{prefix}/pysssss/autocomplete") is Access.ADMIN
    assert access("GET", f"{prefix}/manager/reboot") is Access.ADMIN
    assert access("POST", f"{prefix}/v2/manager/queue/task") is Access.ADMIN


def test_a_path_under_another_method_tells_its_own() -> None:
    found = ALL.find("DELETE", "/pysssss/autocomplete")
    assert found is not None
    assert (found.row, found.methods) == (None, {"GET", "POST"})


@pytest.mark.parametrize(
    "path",
    [
        "/vhs/getpath",
        "/sam/detect",
        "/impact/segs/picker/view",
        "/pysssss/text-file/x",
        "/pysssss/view/custom_nodes%2Fx%2Fconfig.ini",
        "/pysssss/view/loras%2Fx.safetensors",
        "/pysssss/view/loras%2F..%2F..%2Fx.png",
        "/pysssss/view/loras%2F%252e%252e%2Fx.png",
        "/pysssss/view/loras%5C..%5Cx.png",
        "/rgthree/common/../../config",
        "/rgthree/api/custom_nodes",
        "/kjweb_async/../prompt",
        "/kjweb_async//x",
        "/manager/../prompt",
        "/manager/%2e%2e/prompt",
        "/api/api/manager/reboot",
        "/nothing",
    ],
)
def test_what_no_row_opens_is_not_found(path: str) -> None:
    assert ALL.find("GET", path) is None


def test_a_picture_beside_a_model_is() -> None:
    assert access("GET", "/pysssss/view/loras%2Fstyle%2Fx.png") is Access.READ


def query(path: str, /, **values: str) -> dict[str, str] | None:
    found = ALL.find("GET", path)
    assert found is not None
    assert found.row is not None
    return query_of(found.row, values)


def test_only_listed_parameters_are_passed_on() -> None:
    sent = {"filename": "a.mp4", "type": "output", "format": "video/h264-mp4"}
    assert query("/vhs/viewvideo", **sent, evil="1") == sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "path"),
        ("filename", "http://169.254.169.254/x"),
        ("filename", "concat:/etc/passwd"),
        ("format", "folder"),
        ("force_size", "1x1,movie=/etc/passwd"),
        ("frame_load_cap", "1 -i /etc/passwd"),
        ("start_time", "nan"),
    ],
)
def test_a_parameter_that_reads_something_else_is_refused(name: str, value: str) -> None:
    assert query("/vhs/viewvideo", **{"filename": "a.mp4", name: value}) is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x", "a/../../x"])
def test_a_style_picture_lies_below_its_folder(path: str) -> None:
    assert query("/easyuse/prompt/styles/image", path=path) is None
    assert query("/easyuse/prompt/styles/image", path="a b/c.jpg") == {"path": "a b/c.jpg"}


def test_a_studios_own_row_may_not_open_what_is_comfyuis_or_ours() -> None:
    for first in OWN_PATHS - {"api"}:
        with pytest.raises(ValueError, match="vramgate's; name"):
            PackRoute(path=f"/{first}/x")
    for path in ("/{tail:*}", "/api/{tail:*}", "/{a:manager}/x"):
        with pytest.raises(ValueError, match="vramgate's; name"):
            PackRoute(path=path)
    assert PackRoute(path="/mypack/{tail:*}").access is Access.ADMIN


def test_no_preset_opens_what_is_comfyuis_or_ours_but_one_that_no_worker_hears() -> None:
    opened = {row.path for pack in PACKS.values() for row in pack.rows if is_own(row.path)}
    assert opened == {"/view/validate"}
    assert all(row.bare for row in PACKS["impact"].rows if row.path in opened)


def test_a_row_with_parameters_in_braces_matches_them_alone() -> None:
    table = Table([Row("GET", r"/p/{a:[a-z]{2}}/x.y", Access.READ)])
    assert table.find("GET", "/p/ab/x.y") is not None
    assert table.find("GET", "/p/abc/x.y") is None
    assert table.find("GET", "/p/ab/xzy") is None
