"""The founding story on a real GPU: a 4K picture through the VAE, with memory and within 6 GiB.

One bare ComfyUI with the probe. It is run as it is, then kept within a limit; what its probe told goes
through the advice of the dashboard, and the remedies that it names are tried: more memory, a lower
resolution, tiles on purpose. Written after each part: a cut run is worth its rows.

    PYTHON -m bench.gpu.story --comfyui PATH [--python PYTHON] [--out FOLDER] [--gib 6] [--runs 5]

Runs in ComfyUI's Python (aiohttp, pynvml, safetensors), from the repository's folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from bench.gpu.graphs import Workflow
from bench.gpu.probed import ProbedComfyui
from bench.gpu.story_facts import CARD, facts_of
from dashboard.advice.engine import advise
from dashboard.advice.finding import Finding

_GIB: Final = 2**30
#: bytes outside torch (H200, native allocator, CUDA 13)
_CONTEXT: Final = int(0.8 * _GIB)
_CHECKPOINTS: Final = Path(__file__).with_name("checkpoints.py")
#: what a finding says of a size that passes
_SIZE: Final = re.compile(r"up to (\d+)×(\d+)")
#: on a CPU, to see that all of it works
_REHEARSAL: Final = Workflow("sd15-small", 64, 64, 1, 0)
_CINEMA: Final = Workflow("sdxl", 3840, 2160, 1, 0)


class Driven(Protocol):
    """A ComfyUI with a probe, as ``ProbedComfyui`` is."""

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One of the probe's routes."""

    async def run(self, graph: dict[str, Any]) -> tuple[float, str]:
        """Run a prompt: seconds, and how it ended."""


class Story:
    """One process, and what its probe has told so far."""

    def __init__(self, worker: Driven, out: Path, total: int) -> None:
        self._worker = worker
        self._out = out
        self._total = total
        self._seed = self._seen = 0
        self.records: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    async def limit(self, size: int | None) -> None:
        """From the next prompt on keep within so much of the device; None: all of it."""
        await self._worker.ask("POST", "/limit", {"bytes": size, "context": _CONTEXT})

    async def part(self, name: str, workflow: Workflow, runs: int, *, tiled: bool = False) -> float:
        """Run a workflow some times; the middle of the seconds that its VAE nodes took together."""
        each = []
        for _ in range(runs):
            self._seed += 1
            graph = workflow.graph(self._seed)
            if tiled:
                graph["8"]["class_type"] = "VAEDecodeTiled"
                graph["8"]["inputs"] |= {"tile_size": 1024, "overlap": 64, "temporal_size": 64,
                                         "temporal_overlap": 8}  # fmt: skip
            seconds, result = await self._worker.run(graph)
            nodes = [record for record in await self._told() if record["kind"] == "node"]
            vae = {node["class"]: node for node in nodes if node["class"].startswith("VAE")}
            each.append(
                {
                    "result": result,
                    "seconds": round(seconds, 3),
                    "vae_seconds": round(sum(node["seconds"] for node in vae.values()), 3),
                    "decode_seconds": vae.get("VAEDecode", {}).get("seconds"),
                    "fallbacks": sorted({n["fallback"] for n in vae.values() if "fallback" in n}),
                    "peak": max((node.get("peak", 0) for node in vae.values()), default=0),
                }
            )
        middle = float(sorted(run["vae_seconds"] for run in each)[len(each) // 2])
        self.rows.append(
            {"part": name, "workflow": workflow.name, "vae_seconds": middle, "runs": each}
        )
        self.save()
        print(f"{name:32} {middle:7.2f} s  {each[-1]['fallbacks'] or 'at once'}", flush=True)
        return middle

    def advice(self) -> list[Finding]:
        """What the dashboard would say of all that so far."""
        found = advise(facts_of(self.records, self._total), Random(0))
        return [one for one in found if one.kind == "vae_fallback"]

    def save(self, findings: Sequence[Finding] = ()) -> None:
        """Write what there is."""
        self._out.mkdir(parents=True, exist_ok=True)
        told = {"rows": self.rows, "advice": [asdict(finding) for finding in findings]}
        (self._out / "story.json").write_text(json.dumps(told, indent=1))

    async def _told(self) -> list[dict[str, Any]]:
        """Records since the last time."""
        answer = await self._worker.ask("GET", f"/records?after={self._seen}&most=4096")
        records: list[dict[str, Any]] = answer["records"]
        self._seen = max((record["seq"] for record in records), default=self._seen)
        self.records += records
        return records


async def tell(story: Story, workflow: Workflow, gib: float, runs: int) -> bool:
    """All parts in turn; whether it went as it is told.

    The first prompt of a process loads kernels, and of a limit moves weights: neither counts.
    """
    size = int(gib * _GIB)
    await story.limit(None)
    await story.part("warm up", workflow, 1)
    story.records.clear()
    whole = await story.part("with all of the card", workflow, runs)
    await story.limit(size)
    kept = await story.part(f"within {gib:g} GiB", workflow, runs)
    findings = story.advice()
    story.save(findings)
    for finding in findings:
        print(
            "\n".join(
                (finding.title, f"  {finding.cause}", *(f"  → {r}" for r in finding.remedies))
            )
        )
    remedies = [remedy for finding in findings for remedy in finding.remedies]
    sizes = [found for remedy in remedies if (found := _SIZE.search(remedy))]
    smaller = whole
    if sizes:
        width, height = (int(side) for side in sizes[0].groups())
        lower = Workflow(workflow.checkpoint, width, height, 1, 0)
        smaller = await story.part(f"remedy: {width}×{height}", lower, runs)
    await story.part("remedy: tiles of 1024", workflow, runs, tiled=True)
    await story.limit(None)
    again = await story.part("remedy: more memory", workflow, runs)
    story.save(findings)
    return bool(findings) and kept >= 4 * whole and max(smaller, again) < kept / 2


async def main(options: argparse.Namespace) -> int:
    """Write checkpoints, start ComfyUI, tell."""
    write_checkpoints(options)
    workflow = _REHEARSAL if options.cpu else _CINEMA
    args = ("--cpu",) if options.cpu else ("--disable-cuda-malloc",)
    worker = ProbedComfyui(
        options.comfyui,
        options.python,
        options.work / "comfyui",
        options.work / "checkpoints",
        args,
    )
    async with worker:
        memory = await worker.ask("GET", "/memory")
        story = Story(worker, options.out, memory["device_total"] or CARD)
        went = await tell(story, workflow, options.gib, options.runs)
    print("as it is told" if went else "NOT as it is told", flush=True)
    return 0 if went or options.cpu else 1


def write_checkpoints(options: argparse.Namespace) -> None:
    """Random weights of the real shapes, where they are missing."""
    only = "sd15-small" if options.cpu else "sdxl"
    command = [str(options.python), str(_CHECKPOINTS), "--comfyui", str(options.comfyui)]
    command += ["--out", str(options.work / "checkpoints"), "--only", only]
    subprocess.run(command + (["--cpu"] if options.cpu else []), check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.gpu.story", description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "story")
    parser.add_argument("--gib", type=float, default=6.0, help="the limit, of device footprint")
    parser.add_argument("--runs", type=int, default=5, help="of each part")
    parser.add_argument("--cpu", action="store_true", help="a rehearsal without a GPU")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(_options())))
