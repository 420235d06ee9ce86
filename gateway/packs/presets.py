"""The reviewed packs. A row stands here only because the code behind it was read.

What was left out, and why: routes that read or list folders of the host (``/vhs/getpath``,
``/pysssss/text-file``), that keep one state for everybody who asks (Impact's ``/sam/*``,
segment picker and preview bridge: they hand one user's picture to the next), that hold images
on whichever worker was asked (``/etn/image``), or that call out to other services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.packs import Access
from gateway.packs.rows import Pack, Row

_WORD: Final = r"[\w .()+-]{1,128}"
_NUMBER: Final = r"-?\d{1,9}(\.\d{1,6})?"
_FLAG: Final = r"\w{0,16}"
#: a model's name below a folder of models; packs' own folders hold settings with secrets
_FOLDERS: Final = r"(checkpoints|loras|embeddings|vae|controlnet|unet|diffusion_models|clip|hypernetworks|upscale_models)"
_MODEL: Final = _FOLDERS + r"/(?!.*\.\.)[^\\\0]{1,255}"
_PICTURE: Final = _MODEL + r"\.(png|jpg|jpeg|webp|gif)"
#: a name below the pack's own folder: no way up, no way out
_BELOW: Final = r"(?!/)(?!.*\.\.)[\w .()/+-]{1,255}"

_FILE: Final[Mapping[str, str]] = {
    # a URL would be fetched by the worker, type "path" would read any file of the host, and
    # format "folder" lists one
    "filename": r"(?!\w+:).{1,255}",
    "subfolder": r".{0,512}",
    "type": r"(input|output|temp)",
    "format": r"(?!folder)[\w/.+-]{1,64}",
    "force_rate": _NUMBER,
    "force_size": r"(Disabled|(\?|\d{1,5})x(\?|\d{1,5}))",
    "frame_load_cap": _NUMBER,
    "frame_rate": _NUMBER,
    "skip_first_frames": _NUMBER,
    "skip_first_images": _NUMBER,
    "select_every_nth": _NUMBER,
    "start_time": _NUMBER,
    "duration": _NUMBER,
    "deadline": r"(good|realtime)",
}


def _read(where: str, /, **query: str) -> Row:
    return Row("GET", where, Access.READ, query)


def _admin(method: str, path: str) -> Row:
    return Row(method, path, Access.ADMIN)


def _file(path: str, of_upload: bytes | None = None) -> Row:
    return Row("GET", path, Access.OWN_FILE, _FILE, of_upload, reads=True)


_CUSTOM_SCRIPTS: Final = Pack(
    "custom-scripts",
    "pythongosssss/ComfyUI-Custom-Scripts 1.2.5 (609f3af)",
    (
        _read("/pysssss/autocomplete"),
        _admin("POST", "/pysssss/autocomplete"),
        _read("/pysssss/loras"),
        _read(f"/pysssss/view/{{name:{_PICTURE}}}"),
        _read(f"/pysssss/images/{{type:{_FOLDERS}}}"),
        _read(f"/pysssss/examples/{{name:{_MODEL}}}"),
        _admin("POST", "/pysssss/examples/{name}"),
        _read(f"/pysssss/metadata/{{name:{_MODEL}}}"),
        _admin("POST", "/pysssss/metadata/notes/{name}"),
        _admin("POST", "/pysssss/save/{name}"),
        _read("/pysssss/workflows"),
        _read(f"/pysssss/workflows/{{name:{_BELOW}}}"),
        _admin("POST", "/pysssss/workflows"),
    ),
)
_VIDEO_HELPER: Final = Pack(
    "video-helper-suite",
    "Kosinkadink/ComfyUI-VideoHelperSuite 1.7.9 (4ee72c0)",
    (
        _file("/vhs/viewvideo"),
        _file("/viewvideo"),
        _file("/vhs/viewaudio"),
        _file("/vhs/queryvideo", b"{}"),
    ),
)
_IMPACT: Final = Pack(
    "impact",
    "ltdrdata/ComfyUI-Impact-Pack 7.10.6 (727295b)",
    (
        _read("/impact/wildcards/list"),
        Row("POST", "/impact/wildcards", Access.READ, {}),
        _admin("GET", "/impact/wildcards/refresh"),
        Row(
            "GET",
            "/view/validate",
            Access.OWN_FILE,
            {name: _FILE[name] for name in ("filename", "subfolder", "type")},
            b"",
            bare=True,
            reads=True,
        ),
    ),
)
_RGTHREE: Final = Pack(
    "rgthree",
    "rgthree/rgthree-comfy 1.0.2608210019 (13b4399)",
    (
        _read("/rgthree/config.js"),
        _read("/rgthree/logo.svg", w=_NUMBER, h=_NUMBER),
        _read("/rgthree/logo_markup.svg", w=_NUMBER, h=_NUMBER),
        _read("/rgthree/common/{file}"),
        _read("/rgthree/common/{folder}/{file}"),
        _read("/rgthree/lib/{file}"),
        _read("/rgthree/lib/{folder}/{file}"),
        _read("/rgthree/api/config"),
        _admin("POST", "/rgthree/api/config"),
        _read("/rgthree/api/print", type=_WORD),
        _read("/rgthree/api/incompatible-extensions"),
        Row(
            "GET",
            "/rgthree/api/{type:(loras|checkpoints)}",
            Access.READ,
            {"format": _WORD},
            hide=("path",),
        ),
        Row(
            "GET",
            "/rgthree/api/{type:(loras|checkpoints)}/info",
            Access.READ,
            {"files": r"(?!.*\.\.)[^\\\0]{1,4096}", "light": _FLAG},
            hide=("path",),
        ),
        _read("/rgthree/api/{type:(loras|checkpoints)}/img", file=r"(?!/)(?!.*\.\.)[^\\\0]{1,255}"),
        _admin("POST", "/rgthree/api/{type}/info"),
        _admin("GET", "/rgthree/api/{type}/info/refresh"),
        _admin("GET", "/rgthree/api/{type}/info/clear"),
    ),
)
_CRYSTOOLS: Final = Pack(
    "crystools",
    "crystian/ComfyUI-Crystools 1.27.4 (2f18256)",
    (
        _read("/crystools/monitor/GPU"),
        _admin("GET", "/crystools/monitor/HDD"),
        # its page sends these settings of the worker's monitor at every start
        Row("PATCH", "/crystools/monitor", Access.IGNORED),
        Row("PATCH", "/crystools/monitor/GPU/{index}", Access.IGNORED),
        Row("POST", "/crystools/monitor/switch", Access.IGNORED),
    ),
)
_EASY_USE: Final = Pack(
    "easy-use",
    "yolain/ComfyUI-Easy-Use 1.3.6 (4de1ab3)",
    (
        _read("/easyuse/version"),
        _read("/easyuse/prompt/styles", name=r"[\w-]{1,64}"),
        _read("/easyuse/prompt/styles/image", path=_BELOW, name=_WORD, styles_name=r"[\w-]{1,64}"),
        _read("/easyuse/models/list", type=r"(checkpoints|loras)"),
        _read(f"/easyuse/metadata/{{name:{_MODEL}}}"),
        Row("POST", "/easyuse/upload/csv", Access.READ, {}),
        Row("POST", "/easyuse/image_chooser_message", Access.OWN_PROMPT, {}),
        Row("POST", "/easyuse/message_callback", Access.OWN_PROMPT, {}),
        # like /free: memory is given back when a job needs it
        Row("POST", "/easyuse/cleangpu", Access.IGNORED),
        Row("POST", "/easyuse/removecache", Access.IGNORED),
        _admin("GET", "/easyuse/reboot"),
        _admin("POST", "/easyuse/metadata/notes/{name}"),
        _admin("POST", "/easyuse/save/{name}"),
        _admin("POST", "/easyuse/model/download"),
    ),
)
_INSPIRE: Final = Pack(
    "inspire",
    "ltdrdata/ComfyUI-Inspire-Pack 1.21 (1aef2c5)",
    (
        _read("/inspire/prompt_builder", category=_WORD),
        _admin("GET", "/inspire/cache/remove"),
        _admin("GET", "/inspire/cache/clear"),
        _admin("GET", "/inspire/cache/list"),
        _admin("POST", "/inspire/cache/settings"),
    ),
)
_TOOLING_NODES: Final = Pack(
    "tooling-nodes",
    "Acly/comfyui-tooling-nodes 3.3.0 (5d3194f)",
    (
        # all that reads is answered without a preset (``gateway.comfy_api.krita``)
        _admin("PUT", "/api/etn/upload/{folder_name}/{filename}"),
    ),
)
_KJNODES: Final = Pack(
    "kjnodes",
    "kijai/ComfyUI-KJNodes 1.5.0 (3f20054)",
    (_read("/kjweb_async/{tail:*}"),),
)
_MANAGER: Final = Pack(
    "manager",
    "ltdrdata/ComfyUI-Manager 3.31.9 (908a1009), and 4.x under /v2",
    tuple(
        _admin(method, f"{version}/{part}/{{tail:*}}")
        for version in ("", "/v2")
        for part in ("manager", "customnode", "externalmodel", "snapshot", "comfyui_manager")
        for method in ("GET", "POST")
    ),
)

#: by the name that ``gateway.packs`` lists
PACKS: Final[Mapping[str, Pack]] = {
    pack.name: pack
    for pack in (
        _CUSTOM_SCRIPTS,
        _VIDEO_HELPER,
        _IMPACT,
        _RGTHREE,
        _CRYSTOOLS,
        _EASY_USE,
        _INSPIRE,
        _TOOLING_NODES,
        _KJNODES,
        _MANAGER,
    )
}
