"""A ``.perf.json`` beside the pictures, where the probe works without vramgate.

The format is that of docs/perf-json.md. It is written by hand here: the probe brings no packages into
ComfyUI's process.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

#: what the file says it is; a change that readers would notice raises the version
FORMAT = "vramgate.perf"
VERSION = "1.0"

#: folder below ComfyUI's output folder
FOLDER = "vramgate"
#: the one worker of such a file
WORKER = "comfyui"

#: records of one prompt's file; what goes beyond is counted in ``left_out``
_MOST = 8192
#: characters of a word
_WORD = 500

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")

Part = dict[str, Any]


class PerfJson:
    """Gathers a prompt's records, and writes them as one file when it ends."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """``folder`` is ComfyUI's output folder, ``about`` what each file says of the process."""
        self._folder = folder / FOLDER
        self._about = about
        self._records: list[dict[str, Any]] = []
        self._left_out = 0

    def heard(self, record: dict[str, Any]) -> None:
        """A record was made.

        Raises:
            OSError: the file cannot be written.
        """
        if record["kind"] != "prompt":
            if len(self._records) < _MOST:
                self._records.append(record)
            else:
                self._left_out += 1
            return
        records, self._records = self._records, []
        left_out, self._left_out = self._left_out, 0
        self._write(record, records, left_out)

    def _write(self, prompt: dict[str, Any], records: list[Any], left_out: int) -> None:
        content = _content(prompt, records, self._about)
        if left_out:
            why = f"more than {_MOST} records"
            content["left_out"] = [{"part": "records", "count": left_out, "why": why}]
        self._folder.mkdir(parents=True, exist_ok=True)
        # a prompt's id is whatever its client chose: never a path
        name = _UNSAFE.sub("", prompt["prompt"])[:64]
        when = time.strftime("%Y%m%d-%H%M%S", time.localtime(prompt["started"]))
        path = self._folder / f"{when}_{name}.perf.json"
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(content), encoding="utf-8")
        os.replace(partial, path)


def _content(prompt: dict[str, Any], records: list[Any], about: dict[str, Any]) -> Part:
    job = str(prompt["prompt"])[:_WORD]
    by_kind: dict[str, list[Any]] = {}
    for record in records:
        by_kind.setdefault(record["kind"], []).append(record)
    return {
        "format": FORMAT,
        "version": VERSION,
        "about": {
            "writer": "vramgate probe",
            "written_ms": _ms(time.time()),
            "scope": "prompt",
            **about,
        },
        "span": {"from_ms": _ms(prompt["started"]), "until_ms": _ms(prompt["at"])},
        "workers": [{"id": WORKER}],
        "runs": [_run(job, prompt)],
        "nodes": [_node(job, one) for one in by_kind.get("node", ())],
        "moves": [_move(job, one) for one in by_kind.get("model", ())],
        "memory": _memory(by_kind.get("sample", [])),
        "gaps": [
            {"subject": f"worker:{WORKER}", "until_ms": _ms(one["at"]), "lost": one["lost"]}
            for one in by_kind.get("gap", ())
        ],
        "troubles": [
            {"at_ms": _ms(one["at"]), "where": one["where"], "error": one["error"]}
            for one in by_kind.get("trouble", ())
        ],
    }


def _run(job: str, prompt: dict[str, Any]) -> Part:
    run: Part = {
        "job": job,
        "worker": WORKER,
        "started_ms": _ms(prompt["started"]),
        "ended_ms": _ms(prompt["at"]),
        "limit_bytes": prompt.get("limit"),
        **_named(prompt, "seconds", "result", "nodes", "cached", "loads", "load_seconds"),
        **_named(prompt, "overlap", "retained", "peak_allocated", "peak_reserved"),
    }
    for name in ("allocated", "reserved"):
        if prompt.get(name) is not None:
            run[f"{name}_before"], run[f"{name}_after"] = prompt[name]
    return run


def _node(job: str, record: dict[str, Any]) -> Part:
    node: Part = {
        "job": job,
        "started_ms": _ms(record["started"]),
        **_named(record, "node", "class", "seconds", "calls", "cached", "result", "inputs"),
        **_named(record, "outputs", "out_bytes", "display", "error", "fallback", "marker"),
    }
    if "peak" in record:
        node["peak_bytes"] = record["peak"]
        node["before_bytes"], node["after_bytes"] = record["allocated"]
    return node


def _move(job: str, record: dict[str, Any]) -> Part:
    return {
        "at_ms": _ms(record["at"]),
        "worker": WORKER,
        # a model may also come or go between two prompts
        "job": job if record["prompt"] is not None else "",
        "node": record["node"] or "",
        **_named(record, "what", "model", "bytes", "loaded_bytes", "seconds"),
    }


def _memory(samples: list[dict[str, Any]]) -> list[Part]:
    if not samples:
        return []
    columns = {name: [one[name] for one in samples] for name in ("allocated", "reserved")}
    free = [one["device_free"] for one in samples]
    at_ms = [_ms(one["at"]) for one in samples]
    return [{"worker": WORKER, "at_ms": at_ms, **columns, "device_free": free}]


def _named(record: dict[str, Any], *names: str) -> Part:
    return {name: record[name] for name in names if name in record}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
