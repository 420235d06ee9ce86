"""Which values of a graph may name a file of the user."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.comfy_api.inputs import file_key, named_files

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
    "LoadVideo": {
        "input": {"required": {"file": ["COMBO", {"options": [], "video_upload": True}]}}
    },
    "LoadLatent": {"input": {"required": {"latent": [["a.latent"]]}}},
    "Loader": {"input": {"required": {"ckpt_name": [["a.safetensors"]]}}},
    "PackLoader": {
        "input": {"required": {"file": [["theirs.mp4"]], "seed": ["INT", {}]}},
        "python_module": "custom_nodes.a-pack",
    },
    "VHS_LoadVideo": {"input": {"required": {"video": [["theirs.mp4"]]}}},
    "Load3D": {
        "input": {
            "required": {
                "model_file": [["3d/theirs.glb"], {"file_upload": True}],
                "image": ["LOAD_3D", {}],
            }
        }
    },
    "Text": {"input": {"required": {"text": ["STRING", {"multiline": True}]}}},
}

SCENE: Any = {
    "image": "threed/s.png [temp]",
    "mask": "../secret.png [temp]",
    "recording": "film.mp4",
    "normal": "",
    "camera_info": {"zoom": 1, "name": "not_me.png"},
}


def graph(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": class_type, "inputs": inputs}}


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        (graph("LoadImage", image="a.png"), {("input", "a.png")}),
        (graph("LoadImage", image="without_suffix"), {("input", "without_suffix")}),
        (graph("LoadImage", image="clipspace/m-1.png [input]"), {("input", "clipspace/m-1.png")}),
        (graph("LoadImage", image="sub/a.png [output]"), {("output", "sub/a.png")}),
        (graph("LoadImage", image="a.png [temp]"), {("temp", "a.png")}),
        (graph("LoadVideo", file="a.mp4"), {("input", "a.mp4")}),
        (graph("LoadLatent", latent="a.latent"), {("input", "a.latent")}),
        (graph("NobodyKnows", thing="b.png"), {("input", "b.png")}),
        (graph("NobodyKnows", text="a cat. In a hat"), set()),
        (graph("Loader", ckpt_name="a.safetensors"), set()),
        (graph("Loader", ckpt_name="b.safetensors"), set()),
        # a pack may list files without saying so; what its list has is no upload of the user's
        (graph("PackLoader", file="mine.mp4", seed=3), {("input", "mine.mp4")}),
        (graph("PackLoader", file="sub/mine.mp4"), {("input", "sub/mine.mp4")}),
        (graph("PackLoader", file="theirs.mp4"), set()),
        (graph("PackLoader", file="../mine.mp4"), set()),
        # of one that is known all are files
        (graph("VHS_LoadVideo", video="theirs.mp4"), {("input", "theirs.mp4")}),
        (graph("Text", text="a.png"), set()),
        (graph("Load3D", model_file="3d/m.glb"), {("input", "3d/m.glb")}),
        (graph("Load3D", image=SCENE), {("temp", "threed/s.png"), ("input", "film.mp4")}),
        # what is no scene holds no files, however it looks
        (graph("Text", text=SCENE), set()),
        (graph("NobodyKnows", thing=SCENE), set()),
        (graph("LoadImage", image=["2", 0]), set()),
        (graph("LoadImage", image="../secret.png"), set()),
        (graph("LoadImage", image="/etc/passwd"), set()),
        (graph("LoadImage", image=""), set()),
        ({"1": "x", "2": {"inputs": []}, "3": {}}, set()),
    ],
)
def test_values_that_may_name_a_file_are_found(prompt: dict[str, Any], found: set[Any]) -> None:
    assert set(named_files(prompt, INFO)) == found


def test_a_prompt_cannot_ask_for_endless_lookups() -> None:
    prompt = {
        str(number): {"class_type": "LoadImage", "inputs": {"image": f"{number}.png"}}
        for number in range(5000)
    }
    assert len(named_files(prompt, INFO)) == 1000


def test_a_suffix_outranks_the_folder_that_is_read_by_default() -> None:
    assert file_key("input", "a.png") == ("input", "a.png")
    assert file_key("input", "a.png [output]") == ("output", "a.png")
