"""Which mechanism keeps a ComfyUI within its reservation, on a real GPU: the A/B behind ``limit``.

One ComfyUI at a time, with the probe. It is given limits, runs workflows of known peaks, and NVML is
watched: how far above the limit the process goes, what that costs in seconds, what it holds after the
job, after a trim, after a release. Results are written after each row; a cut run is worth its rows.

    PYTHON -m bench.gpu.limits --comfyui PATH [--python PYTHON] [--out FOLDER] [--budget-s 480]

Runs in ComfyUI's Python (aiohttp, pynvml, safetensors), from the repository's folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.gpu.footprint import Footprint
from bench.gpu.graphs import Workflow
from bench.gpu.limit_rows import table
from bench.gpu.lying import beside
from bench.gpu.mps import Mps, MpsUnavailable
from bench.gpu.probed import ProbedComfyui, Refused

_GIB: Final = 2**30
#: bytes outside torch until the first case measured them (H200, CUDA 13)
_CONTEXT: Final = int(1.36 * _GIB)
_GPU: Final = (
    Workflow("sdxl", 1024, 1024, 1, 20),
    Workflow("sdxl", 1024, 1024, 4, 12),
    Workflow("sdxl", 3840, 2160, 1, 0),
)
_REHEARSAL: Final = (
    Workflow("sd15-small", 64, 64, 1, 1),
    Workflow("sd15-small", 64, 64, 1, 0),
)
#: what is started, by the name of the mechanism: arguments, environment
_MECHANISMS: Final[dict[str, tuple[tuple[str, ...], dict[str, str]]]] = {
    "async": ((), {}),
    "native": (("--disable-cuda-malloc",), {}),
    "expandable": (
        ("--disable-cuda-malloc",),
        {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
    ),
}


class Bench:
    """One run: its options, its GPU, its rows so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.footprint = Footprint(options.cpu)
        self.workflows = _REHEARSAL if options.cpu else _GPU
        self.context = _CONTEXT
        self.report: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "gpu": self.footprint.name(),
            "python": platform.python_version(),
            "command": " ".join(sys.argv),
            "rows": [],
            "changes": [],
            "first_prompts": [],
            "beside_a_lie": [],
            "notes": [],
        }
        self._began = time.monotonic()
        self._seed = self._started = 0

    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return float(self.options.budget_s) - (time.monotonic() - self._began)

    def comfyui(
        self, mechanism: str, args: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> ProbedComfyui:
        """A process of this mechanism, not started yet."""
        self._started += 1
        known, variables = _MECHANISMS[mechanism]
        cpu = ("--cpu",) if self.options.cpu else ()
        self.footprint.before()
        return ProbedComfyui(
            self.options.comfyui,
            self.options.python,
            self.options.work / f"comfyui-{self._started}-{mechanism}",
            self.options.work / "checkpoints",
            (*known, *cpu, *args),
            {**variables, **(env or {})},
        )

    async def first(self, worker: ProbedComfyui, mechanism: str) -> None:
        """What a process that just started says of itself."""
        self.footprint.follow(worker.pid)
        about = await worker.ask("GET", "/")
        about["mechanism"], about["boot_s"] = mechanism, round(worker.boot_s, 2)
        about["footprint_source"] = self.footprint.source
        self.report.setdefault("processes", []).append(about)

    def save(self) -> None:
        """Write what there is."""
        self.options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.report, indent=1)
        (self.options.out / "limits.json").write_text(text)

    async def change(self, worker: ProbedComfyui, mechanism: str, body: dict[str, Any]) -> None:
        """Give the process another limit, and see how soon it holds."""
        before, began = self.footprint.now(), time.perf_counter()
        answer = await worker.ask("POST", "/limit", {**body, "context": self.context})
        answered = time.perf_counter() - began
        size = body["bytes"]
        held = self.footprint.until(size, 5.0) if size is not None else 0.0
        self.report["changes"].append(
            {
                "mechanism": mechanism,
                **answer,
                "before": before,
                "answered_s": round(answered, 3),
                "held_s": None if held is None else round(answered + held, 3),
                "after": self.footprint.now(),
            }
        )

    async def row(
        self, worker: ProbedComfyui, mechanism: str, workflow: Workflow, body: dict[str, Any]
    ) -> None:
        """Run one workflow twice within the limit in force."""
        marks = worker.marks()
        runs = [await self._run(worker, workflow) for _ in range(2)]
        found = worker.marks()
        kept = self.footprint.now()
        trimmed = await worker.ask("POST", "/trim", {})
        row = {
            "mechanism": mechanism,
            "limit": body["bytes"],
            "told": body.get("told", body["bytes"]),
            "workflow": workflow.name,
            "runs": runs,
            "fallbacks": {name: found[name] - marks[name] for name in found},
            "after_job": kept,
            "after_trim": self.footprint.now(),
            "trim_s": trimmed["seconds"],
            "reserved_after_trim": trimmed["after"]["reserved"],
        }
        self.report["rows"].append(row)
        self.save()
        print(table([row], header=False), flush=True)

    async def _run(self, worker: ProbedComfyui, workflow: Workflow) -> dict[str, Any]:
        self.footprint.restart()
        seconds, result = await worker.run(workflow.graph(self.seed()))
        memory = await worker.ask("GET", "/memory")
        return {
            "seconds": round(seconds, 3),
            "result": result,
            "peak": self.footprint.peak(),
            "peak_allocated": memory["peak_allocated"],
            "peak_reserved": memory["peak_reserved"],
        }

    def seed(self) -> int:
        """A new one at each call."""
        self._seed += 1
        return self._seed

    async def release(self, worker: ProbedComfyui, mechanism: str) -> None:
        """Give all memory back; noted beside the last row."""
        before = self.footprint.now()
        answer = await worker.ask("POST", "/release", {})
        self.report["rows"][-1]["release"] = {
            "seconds": answer["seconds"],
            "before": before,
            "after": self.footprint.now(),
            "reserved": answer["after"]["reserved"],
            "unloaded": answer["unloaded"],
        }
        if answer["after"]["reserved"] < 64 * 2**20 and not self.options.cpu:
            # all of torch's is given back: what is left is the context, with this mix's kernels in it
            self.context = max(self.context, self.footprint.now() - answer["after"]["reserved"])
        self.save()


def body_of(footprint: float | None, told: str = "same") -> dict[str, Any]:
    """A limit of so many GiB of device footprint."""
    if footprint is None:
        return {"bytes": None}
    body: dict[str, Any] = {"bytes": int(footprint * _GIB)}
    return body if told == "same" else {**body, "told": None}


async def limits(bench: Bench, mechanism: str, sizes: tuple[float | None, ...]) -> None:
    """Each workflow within each limit, told."""
    async with bench.comfyui(mechanism) as worker:
        await bench.first(worker, mechanism)
        for size in sizes:
            await bench.change(worker, mechanism, body_of(size))
            for workflow in bench.workflows:
                await bench.row(worker, mechanism, workflow, body_of(size))
            await bench.release(worker, mechanism)


async def told_or_not(bench: Bench) -> None:
    """Caps from the comfortable peak of SDXL ×1 upwards: ComfyUI told the cap, or shown the card."""
    async with bench.comfyui("native") as worker:
        await bench.first(worker, "native")
        for cap in (9.2, 11.0, 13.0, 16.0):
            for told in ("same", "card"):
                body = body_of(cap + bench.context / _GIB + 0.0625, told)
                await bench.change(worker, "native", body)
                for workflow in bench.workflows:
                    await bench.row(worker, "native", workflow, body)
                await bench.release(worker, "native")


async def first_prompts(bench: Bench) -> None:
    """The first prompt of a fresh process, with and without a warm-up."""
    for warmed in (False, True):
        async with bench.comfyui("native") as worker:
            await bench.first(worker, "native")
            row: dict[str, Any] = {"warmed": warmed, "boot_s": round(worker.boot_s, 2)}
            bench.report["first_prompts"].append(row)
            idle = bench.footprint.now()
            if warmed:
                row["warm_up_s"] = (await worker.ask("POST", "/warm", {}))["seconds"]
                row["warm_up_bytes"] = bench.footprint.now() - idle
            for name in ("first_s", "cold_s", "again_s"):
                seconds, result = await worker.run(bench.workflows[0].graph(bench.seed()))
                row[name], row["result"] = round(seconds, 3), result
                if name == "first_s":
                    await worker.ask("POST", "/release", {})
            bench.save()


async def lying(bench: Bench) -> None:
    """A neighbour's times beside a job that is held to what it takes, and to a third of that."""
    large = bench.workflows[min(1, len(bench.workflows) - 1)]
    async with bench.comfyui("native") as neighbour, bench.comfyui("native") as liar:
        await neighbour.ask("POST", "/limit", {**body_of(10.6, "card"), "context": bench.context})
        for truth, size, told in ((True, 18.6, "card"), (False, 6.2, "same")):
            body = body_of(size, told)
            await liar.ask("POST", "/limit", {**body, "context": bench.context})
            marks = liar.marks()
            found = await beside(neighbour, liar, bench.workflows[0], large, bench.seed)
            after = liar.marks()
            fallbacks = {name: after[name] - marks[name] for name in after}
            row = {"truthful": truth, "limit": body["bytes"], **found, "fallbacks": fallbacks}
            bench.report["beside_a_lie"].append(row)
            bench.save()


async def mps(bench: Bench) -> None:
    """The limit that MPS keeps for a client: fixed when its process starts."""
    with Mps(bench.options.out / "mps") as server:
        for size in (12.0, 8.0):
            env = server.client(int(size * 1024))
            async with bench.comfyui("async", env=env) as worker:
                await bench.first(worker, "mps")
                for told in ("card", "same"):
                    body = {"bytes": None} if told == "card" else body_of(size)
                    await bench.change(worker, "mps", body)
                    for workflow in bench.workflows:
                        await bench.row(worker, f"mps {size:g}", workflow, body)
                    await bench.release(worker, "mps")


def parts(bench: Bench) -> dict[str, tuple[float, Callable[[], Awaitable[None]]]]:
    """What is measured, the deciding parts first, each with the seconds it needs at least."""
    sizes = (None, 12.0, 8.0)
    return {
        "native": (60, lambda: limits(bench, "native", sizes)),
        "async": (60, lambda: limits(bench, "async", sizes)),
        "expandable": (45, lambda: limits(bench, "expandable", (12.0, 8.0))),
        "told": (60, lambda: told_or_not(bench)),
        "first": (45, lambda: first_prompts(bench)),
        "lying": (60, lambda: lying(bench)),
        "mps": (60, lambda: mps(bench)),
        "six": (40, lambda: limits(bench, "native", (6.0,))),
    }


def checkpoints(bench: Bench) -> None:
    """Make the checkpoints that the workflows need, in ComfyUI's Python."""
    options = bench.options
    for name in {workflow.checkpoint for workflow in bench.workflows}:
        subprocess.run(
            [
                *(str(options.python), str(Path(__file__).parent / "checkpoints.py")),
                *("--comfyui", str(options.comfyui), "--out", str(options.work / "checkpoints")),
                *("--only", name),
                *(("--cpu",) if options.cpu else ()),
            ],
            check=True,
        )


def keep_logs(bench: Bench) -> None:
    """ComfyUI's logs beside the results, in one file."""
    with tarfile.open(bench.options.out / "logs.tar.gz", "w:gz") as archive:
        for log in sorted(bench.options.work.glob("comfyui-*/comfyui.log")):
            archive.add(log, f"{log.parent.name}.log")


async def run(bench: Bench, wanted: list[str]) -> None:
    """Run the parts; a part that fails is noted, and the next one runs."""
    known = parts(bench)
    for name in wanted or list(known):
        least, part = known[name]
        if bench.left_s() < least:
            bench.report["notes"].append(f"{name}: left out, {bench.left_s():.0f} s were left")
            continue
        began = time.monotonic()
        try:
            async with asyncio.timeout(bench.left_s()):
                await part()
        except (Refused, MpsUnavailable, TimeoutError, OSError) as error:
            bench.report["notes"].append(f"{name}: {type(error).__name__}: {error}")
            print(bench.report["notes"][-1], flush=True)
        bench.report["notes"].append(f"{name}: {time.monotonic() - began:.0f} s")
        keep_logs(bench)
        bench.save()


def main() -> None:
    """Run it, print the table, leave ``limits.json`` in the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--comfyui", type=Path, required=True, help="an installed ComfyUI")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="ComfyUI's Python"
    )
    parser.add_argument("--out", type=Path, default=Path("limits"), help="folder of the results")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "vramgate-limits",
        help="folder for checkpoints, pictures and logs: 15 GB",
    )
    parser.add_argument("--budget-s", type=float, default=480, help="seconds for all of it")
    parser.add_argument("--part", action="append", default=[], help="this one; may be repeated")
    parser.add_argument("--cpu", action="store_true", help="rehearse without a GPU, tiny sizes")
    options = parser.parse_args()
    options.out, options.work = options.out.resolve(), options.work.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    checkpoints(bench)
    bench.report["notes"].append(f"checkpoints: {options.budget_s - bench.left_s():.0f} s")
    asyncio.run(run(bench, options.part))
    print(table(bench.report["rows"]))
    print(
        json.dumps(
            {
                key: bench.report[key]
                for key in ("changes", "first_prompts", "beside_a_lie", "notes")
            }
        )
    )


if __name__ == "__main__":
    main()
