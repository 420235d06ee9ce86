from __future__ import annotations

import pytest

from worker_agent.redact import hide_paths, redact_error, redact_message


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('  File "/srv/My Comfy/ComfyUI/nodes.py", line 3', '  File "nodes.py", line 3'),
        ("no file /data/models/a.safetensors here", "no file a.safetensors here"),
        ("full_output_folder: /srv/out/x\n", "full_output_folder: x\n"),
        (r"C:\ComfyUI\models\a.ckpt is broken", "a.ckpt is broken"),
        ("vg/ann/cat/pic.png is no image", "cat/pic.png is no image"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("3 / 4 of a/b/c", "3 / 4 of a/b/c"),
    ],
)
def test_host_paths_become_their_last_part(text: str, clean: str) -> None:
    assert hide_paths(text, "ann") == clean


def test_an_error_keeps_its_shape_without_paths_and_bulk() -> None:
    error = {
        "node_id": "2",
        "exception_message": "cannot read /srv/x/y.png",
        "traceback": ['  File "/srv/x.py", line 1\n'],
        "current_inputs": {"image": ["tensor(" + "0, " * 9000], "n": [1], "many": list(range(99))},
    }
    clean = redact_error(error, "ann")
    assert clean["node_id"] == "2"
    assert "/srv" not in str(clean)
    assert len(clean["current_inputs"]["image"][0]) < 300
    assert clean["current_inputs"]["n"] == [1]
    assert len(clean["current_inputs"]["many"]) < 10
    assert error["traceback"] == ['  File "/srv/x.py", line 1\n']


def test_other_messages_pass() -> None:
    assert redact_message("execution_success", {"a": "/srv/x/y"}, "ann") == {"a": "/srv/x/y"}
