"""A ``.perf.json`` beside the pictures, where the probe works without vramgate."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

#: what the file says it is; a change that readers would notice raises the version
FORMAT = "vramgate.perf"
VERSION = 1

#: folder below ComfyUI's output folder
FOLDER = "vramgate"

#: records of one prompt's file; what goes beyond is counted in ``left_out``
_MOST = 8192

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


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
        content = {
            "format": FORMAT,
            "version": VERSION,
            "about": self._about,
            "prompt": prompt,
            "nodes": [one for one in records if one["kind"] == "node"],
            "models": [one for one in records if one["kind"] == "model"],
            "samples": [one for one in records if one["kind"] == "sample"],
            "troubles": [one for one in records if one["kind"] in ("trouble", "gap")],
            "left_out": left_out,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        # a prompt's id is whatever its client chose: never a path
        name = _UNSAFE.sub("", prompt["prompt"])[:64]
        when = time.strftime("%Y%m%d-%H%M%S", time.localtime(prompt["started"]))
        path = self._folder / f"{when}_{name}.perf.json"
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(content), encoding="utf-8")
        os.replace(partial, path)
