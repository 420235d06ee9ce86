"""The founding story's driver for a real GPU, told by a made-up ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.gpu.graphs import Workflow
from bench.gpu.story import Story, tell
from bench.gpu.story_facts import facts_of

GIB = 2**30
CINEMA = Workflow("sdxl", 3840, 2160, 1, 0)


class MadeUp:
    """Goes on in tiles where a picture takes more than the limit: as an H200 does, by figures."""

    def __init__(self, cure: float = 1.0) -> None:
        self.cure = cure
        self.limit: int | None = None
        self.records: list[dict[str, Any]] = []

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if path == "/limit":
            self.limit = body["bytes"]
            return {}
        after = int(path.split("after=")[1].split("&")[0])
        return {"records": [one for one in self.records if one["seq"] > after]}

    async def run(self, graph: dict[str, Any]) -> tuple[float, str]:
        size = graph["5"]["inputs"]
        pixels = size["width"] * size["height"]
        decode = graph["8"]["class_type"]
        tiled = self.limit is not None and 2177 * pixels > self.limit - 2 * GIB
        seconds = pixels * (0.65e-6 * self.cure if tiled or "Tiled" in decode else 0.12e-6)
        for class_type in ("VAEEncode", decode):
            shape = [1, size["height"], size["width"], 3]
            if class_type == "VAEEncode":
                shape = [1, 4, size["height"] // 8, size["width"] // 8]
            more = {"fallback": "tiled"} if tiled and "Tiled" not in class_type else {}
            self._add(
                "node", node="8", cached=False, seconds=seconds, result="success",
                allocated=[GIB, GIB], peak=GIB + 2177 * pixels, **more,
                outputs={"0": {"shape": shape, "dtype": "float32"}}, **{"class": class_type},
            )  # fmt: skip
        self._add(
            "prompt", seconds=2 * seconds, result="success", nodes=4, cached=0, limit=self.limit,
            peak_reserved=GIB + 2740 * pixels,
        )  # fmt: skip
        return 2 * seconds, "ok"

    def _add(self, kind: str, **fields: Any) -> None:
        number = len(self.records)
        prompt = f"p{sum(one['kind'] == 'prompt' for one in self.records)}"
        at = 1_700_000_000 + number
        told = {"seq": number + 1, "kind": kind, "at": at, "started": at - 1, "prompt": prompt}
        self.records.append({**told, **fields})


async def test_the_story_is_told_and_its_remedies_are_tried(tmp_path: Path) -> None:
    worker = MadeUp()
    assert await tell(Story(worker, tmp_path, 80 * GIB), CINEMA, 6, 5)
    told = json.loads((tmp_path / "story.json").read_text())
    parts = {row["part"]: row for row in told["rows"]}
    assert parts["within 6 GiB"]["runs"][0]["fallbacks"] == ["tiled"]
    assert parts["remedy: more memory"]["runs"][0]["fallbacks"] == []
    (lower,) = [row for name, row in parts.items() if "×" in name]
    assert lower["runs"][0]["fallbacks"] == []
    decode = next(one for one in told["advice"] if "VAEDecode" in one["title"])
    assert decode["remedies"][0].startswith("More reservation")
    assert worker.limit is None


async def test_tiles_that_cost_nothing_are_no_story(tmp_path: Path) -> None:
    assert not await tell(Story(MadeUp(cure=0.2), tmp_path, 80 * GIB), CINEMA, 6, 5)


def test_a_prompt_that_has_not_ended_is_no_fact() -> None:
    worker = MadeUp()
    worker._add("node", **{"class": "VAEDecode"}, node="8", cached=False, seconds=1.0)
    assert facts_of(worker.records, GIB).nodes == ()
