"""``vramgate estimate``: what it asks, what it prints, what it says when it cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.errors import CliError
from cli.estimate import lines
from cli.main import app

GRAPH: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
    "2": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 1024, "height": 1024, "batch_size": 1},
    },
    "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}
FOUND: dict[str, Any] = {
    "needs_gpu": True,
    "cold": False,
    "runs": 4,
    "bytes": {"need": 10 * 2**30, "floor": 6 * 2**30, "curve": []},
    "host_bytes": 9,
    "seconds": {"run": 12.3, "late": 20.0, "load": 5.0},
    "models": [{"name": "checkpoints/a", "bytes": None}],
    "refused": "",
    "places": [
        {"id": "g0", "name": "Card", "agent": "host", "index": 0, "fits": "when_free"},
        {"id": "c", "name": "CPU", "agent": "host", "index": None, "fits": "never"},
    ],
    "start": {"p50_seconds": 61.2, "p90_seconds": 190.0, "worker": "host-0", "gpu": "g0"},
}

Vramgate = Callable[..., str]


class Gate:
    """Answers one POST after the other, and remembers them."""

    def __init__(self) -> None:
        self.status, self.answer = 200, json.dumps(FOUND).encode()
        self.asked: list[tuple[str, str | None, Any]] = []
        self.url = ""


@pytest.fixture
def gate() -> Iterator[Gate]:
    told = Gate()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(told.status)
            self.end_headers()
            self.wfile.write(told.answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    file = tmp_path / "workflow_api.json"
    file.write_text(json.dumps(GRAPH))
    return file


@pytest.fixture
def vramgate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vramgate:
    """Runs ``vramgate estimate …`` where no instance runs; its output."""
    monkeypatch.delenv("VRAMGATE_KEY", raising=False)

    def run(*arguments: str | Path) -> str:
        words = ["estimate", *map(str, arguments), "--data-dir", str(tmp_path / "data")]
        done = CliRunner().invoke(app, words)
        if isinstance(done.exception, CliError):
            return f"error: {done.exception}"
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_running_instance_is_asked_with_the_key(
    gate: Gate, workflow: Path, vramgate: Vramgate
) -> None:
    assert "in about 61 s, by 3 min 10 s" in vramgate(workflow, "--url", gate.url, "--key", "k-1")
    assert gate.asked == [("/dashboard/api/v1/estimate", "Bearer k-1", {"prompt": GRAPH})]


def test_the_key_may_come_from_the_environment(
    gate: Gate, workflow: Path, vramgate: Vramgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    vramgate(workflow, "--url", gate.url)
    monkeypatch.setenv("VRAMGATE_KEY", "k-2")
    vramgate(workflow, "--url", gate.url + "/")
    assert [key for _, key, _ in gate.asked] == [None, "Bearer k-2"]


def test_json_is_the_answer_as_it_came(gate: Gate, workflow: Path, vramgate: Vramgate) -> None:
    assert json.loads(vramgate(workflow, "--url", gate.url, "--json")) == FOUND


def test_an_estimate_is_readable() -> None:
    assert list(lines(FOUND)) == [
        "memory   10.0 GiB, at least 6.0 GiB",
        "time     12.3 s, hardly ever over 20.0 s, and 5.0 s to load its models",
        "known    learned from 4 runs",
        "model    checkpoints/a (size not known)",
        "where    Card 0 of host: fits when jobs there have ended",
        "where    CPU of host: does not fit",
        "start    in about 61 s, by 3 min 10 s in 9 of 10 cases, on host-0",
    ]


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"start": None}, "start    nobody can say"),
        (
            {"start": {**FOUND["start"], "p50_seconds": 0.0, "p90_seconds": 0.0}},
            "start    at once, on host-0",
        ),
        ({"refused": "too large", "places": []}, "refused  too large"),
    ],
)
def test_the_last_line_says_when(changes: dict[str, Any], last: str) -> None:
    assert list(lines(FOUND | changes))[-1] == last


def test_a_workflow_without_a_gpu_says_so() -> None:
    plain = FOUND | {"needs_gpu": False, "bytes": {"need": 0, "floor": 0, "curve": []}}
    assert next(lines(plain)) == "memory   needs no GPU"


def test_without_an_instance_the_graph_alone_is_read(workflow: Path, vramgate: Vramgate) -> None:
    printed = vramgate(workflow)
    assert printed.startswith("no instance runs here")
    assert "never run before: from formulas" in printed
    found = json.loads(vramgate(workflow, "--json"))
    assert found["places"] is None
    assert found["bytes"]["need"] > 7 * 2**30


def test_a_file_as_the_ui_saves_it_is_refused_with_the_way_out(
    tmp_path: Path, vramgate: Vramgate
) -> None:
    file = tmp_path / "ui.json"
    file.write_text('{"nodes": [], "links": [], "version": 0.4}')
    assert "Export (API)" in vramgate(file)


@pytest.mark.parametrize(("text", "words"), [("{", "no JSON"), ("[]", "JSON object")])
def test_what_is_no_workflow_is_refused(
    text: str, words: str, tmp_path: Path, vramgate: Vramgate
) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    assert words in vramgate(file)


def test_a_missing_file_is_named(tmp_path: Path, vramgate: Vramgate) -> None:
    assert "nowhere.json" in vramgate(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (401, b"{}", "--key"),
        (400, b'{"error": "the JSON is nested too deeply"}', "nested too deeply"),
        (404, b"<html>", "is it a vramgate?"),
        (200, b'{"some": "json"}', "no vramgate"),
        (200, b"<html>", "no vramgate"),
    ],
)
def test_refusals_are_passed_on_in_words(
    status: int, answer: bytes, words: str, gate: Gate, workflow: Path, vramgate: Vramgate
) -> None:
    gate.status, gate.answer = status, answer
    assert words in vramgate(workflow, "--url", gate.url)


def test_errors_of_nodes_are_listed(gate: Gate, workflow: Path, vramgate: Vramgate) -> None:
    one = {"message": "Value not in list", "details": "ckpt_name: 'sdxl.safetensors'"}
    errors = {"1": {"class_type": "CheckpointLoaderSimple", "errors": [one]}}
    gate.status = 400
    gate.answer = json.dumps({"error": "Invalid", "node_errors": errors}).encode()
    printed = vramgate(workflow, "--url", gate.url)
    assert "node 1 (CheckpointLoaderSimple): Value not in list: ckpt_name" in printed


def test_an_instance_that_is_away_is_named(workflow: Path, vramgate: Vramgate) -> None:
    assert "does not answer" in vramgate(workflow, "--url", "http://127.0.0.1:9")
    assert "http://" in vramgate(workflow, "--url", "gate.studio")
