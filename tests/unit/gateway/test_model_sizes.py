from __future__ import annotations

from gateway.model_sizes import by_model


def test_sizes_are_found_by_folder_and_where_only_the_name_is_known() -> None:
    found = by_model({"loras": [{"name": "sub/a.safetensors", "size": 7, "pathIndex": 0}]})
    assert found == {"loras/sub/a.safetensors": 7, "other/sub/a.safetensors": 7}


def test_files_of_a_packs_folder_are_found_in_the_cores() -> None:
    found = by_model({"unet_gguf": [{"name": "flux.gguf", "size": 9}]})
    assert found["diffusion_models/flux.gguf"] == 9


def test_of_two_files_of_one_name_the_larger_counts() -> None:
    found = by_model({"vae": [{"name": "a", "size": 1}, {"name": "a", "size": 3}, {"name": "a"}]})
    assert found["vae/a"] == 3


def test_what_is_no_file_with_a_size_is_left_out() -> None:
    assert by_model({"vae": [None, "a", {"name": 1, "size": 1}, {"name": "a", "size": 0}]}) == {}
