from __future__ import annotations

from typing import Any

from gateway.object_info import choices, file_classes, for_user, lists_outputs, merge, user_files


def node(**inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": ["IMAGE"], "name": "x"}


def combo(info: dict[str, Any], name: str, key: str) -> list[Any] | None:
    return choices(info[name]["input"]["required"][key])


def test_classes_of_all_workers_are_there() -> None:
    assert set(merge([{"A": node()}, {"B": node()}])) == {"A", "B"}


def test_choices_are_united_in_both_spellings_and_originals_stay() -> None:
    first = {"Load": node(name=[["a", "b"], {"tip": 1}], kind=["COMBO", {"options": ["x"]}])}
    second = {"Load": node(name=[["b", "c"]], kind=["COMBO", {"options": ["y", "x"]}])}
    merged = merge([first, second])
    assert combo(merged, "Load", "name") == ["a", "b", "c"]
    assert combo(merged, "Load", "kind") == ["x", "y"]
    assert merged["Load"]["input"]["required"]["name"][1] == {"tip": 1}
    assert combo(first, "Load", "name") == ["a", "b"]


def test_an_input_that_only_one_worker_calls_a_combo_is_the_first_workers() -> None:
    merged = merge([{"N": node(v=[["a"]])}, {"N": node(v=["STRING", {}])}])
    assert combo(merged, "N", "v") == ["a"]
    assert merge([{"N": node(v=["INT", {}])}, {"N": node(v=[["a"]])}])["N"] == node(v=["INT", {}])


def test_sections_may_be_missing() -> None:
    assert merge([{"N": {"input": {}}}, {"N": {"input": {"required": {"a": [["x"]]}}}}])
    assert merge([{"N": {}}, {"N": {"input": None}}])["N"] == {"input": {}}


FILES = user_files(
    [
        "b.mp4",
        "a.png",
        "c.wav",
        "d.latent",
        "e.glb",
        "3d/f.GLB",
        "3d/sub/g.obj",
        "3d/h.png",
        "s/i.glb",
    ],
    ("out_00001_.png", "out.mp4"),
)
INFO = {
    "LoadImage": node(image=[["example.png", "theirs.png"], {"image_upload": True}]),
    "LoadVideo": node(file=["COMBO", {"options": ["theirs.mp4"], "video_upload": True}]),
    "LoadAudio": node(audio=[["theirs.wav"], {"audio_upload": True}]),
    "LoadLatent": node(latent=[["theirs.latent"]]),
    "VHS_LoadVideo": node(video=[["theirs.mp4"]], custom_width=["INT", {}]),
    "Load3D": node(model_file=[["theirs.glb"], {"file_upload": True}]),
    "Load3DAnimation": node(
        model_file=[[], {"file_upload": True}], image=["LOAD_3D_ANIMATION", {}]
    ),
    "PickOutput": node(image=[["x"], {"image_upload": True, "image_folder": "output"}]),
    "Remote": node(image=["COMBO", {"image_upload": True, "remote": {"route": "/internal"}}]),
    "KSampler": node(sampler_name=[["euler"], {"tooltip": "t"}], seed=["INT", {}]),
    "NoUpload": node(image=[["keep.png"], {"image_upload": False}]),
}


def test_only_classes_that_list_files_depend_on_the_user() -> None:
    files = {"LoadImage", "LoadVideo", "LoadAudio", "LoadLatent", "Load3D", "PickOutput"}
    files |= {"VHS_LoadVideo", "Load3DAnimation"}
    assert file_classes(INFO) == files


def test_file_choices_are_the_users_own_and_of_the_right_kind() -> None:
    own = {name: for_user(name, INFO[name], FILES) for name in file_classes(INFO)}
    assert combo(own, "LoadImage", "image") == ["a.png"]
    assert combo(own, "LoadVideo", "file") == ["b.mp4"]
    assert combo(own, "LoadAudio", "audio") == ["b.mp4", "c.wav"]
    assert combo(own, "LoadLatent", "latent") == ["d.latent"]
    assert combo(own, "VHS_LoadVideo", "video") == ["b.mp4"]
    assert combo(own, "Load3D", "model_file") == ["3d/f.GLB", "3d/sub/g.obj"]
    assert combo(own, "Load3DAnimation", "model_file") == ["3d/f.GLB"]
    assert combo(own, "PickOutput", "image") == ["out_00001_.png"]
    assert combo(INFO, "LoadImage", "image") == ["example.png", "theirs.png"]


def test_outputs_are_asked_for_only_where_a_class_lists_them() -> None:
    assert lists_outputs(INFO)
    assert not lists_outputs({"LoadImage": INFO["LoadImage"]})
