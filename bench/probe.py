"""What the probe costs: its hook alone, 200 nodes of a real ComfyUI, real prompts on a GPU.

    ./run bench probe                                          the hook alone
    ./run bench probe --comfyui PATH [--python PYTHON]          and 200 nodes that do next to nothing
    … --device --checkpoints FOLDER                             and SD 1.5 and SDXL prompts on the GPU

One ComfyUI runs throughout; hooks are switched on and off between prompts, each variant in turn, so that
whatever else the machine does hits all alike. Runs in ComfyUI's own Python too (``PYTHON -m bench.probe``).
``bench/gpu/checkpoints.py`` writes the checkpoints.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.gpu.graphs import Workflow
from bench.gpu.probed import ProbedComfyui, Refused

_ROOT: Final = Path(__file__).parents[1]
#: nodes of a prompt that does next to nothing
_NODES: Final = 200
VARIANTS: Final[dict[str, dict[str, bool]]] = {
    "off": {"hooks": False},
    "hooks": {"hooks": True, "memory": False},
    "memory": {"hooks": True, "memory": True},
}
_REAL: Final = (Workflow("sd15", 512, 512, 1, 20), Workflow("sdxl", 1024, 1024, 1, 20))
_REHEARSAL: Final = (Workflow("sd15-small", 64, 64, 1, 1),)
_TICKS: Final = os.sysconf("SC_CLK_TCK")

#: a node that makes a small tensor, and one that takes it: half the nodes each
_PACK: Final = """
import torch


class Make:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "bench"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0, "max": 2**53})}}

    def run(self, seed):
        return (torch.zeros(1, 8, 8, 3),)


class Take:
    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "bench"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def run(self, images):
        return ()


NODE_CLASS_MAPPINGS = {"BenchMake": Make, "BenchTake": Take}
"""


def main() -> None:
    """Measure what the options ask for, and print it as JSON and as a table."""
    options = _options()
    report: dict[str, Any] = {"isolated": isolated(options.python)}
    if options.comfyui is not None:
        report.update(asyncio.run(beside_comfyui(options)))
    text = json.dumps(report, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n")
    print(text)
    print(table(report))


def isolated(python: Path) -> dict[str, Any]:
    """The hook alone, under this Python."""
    done = subprocess.run(
        [str(python), str(_ROOT / "bench" / "probe_isolated.py")],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def beside_comfyui(options: argparse.Namespace) -> dict[str, Any]:
    """The A/B inside a real ComfyUI."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        pack = home / "nodes" / "bench_nodes"
        pack.mkdir(parents=True)
        (pack / "__init__.py").write_text(_PACK)
        # as vramgate starts its workers
        args = ("--disable-cuda-malloc",) if options.device else ("--cpu",)
        checkpoints = options.checkpoints or home
        comfyui = ProbedComfyui(options.comfyui, options.python, home, checkpoints, args)
        async with comfyui:
            about = await comfyui.ask("GET", "")
            report: dict[str, Any] = {
                "comfyui": {
                    name: about[name] for name in ("comfyui", "torch", "device", "missing")
                },
                "nodes": await compare(comfyui, small, options.rounds, cores=True),
            }
            if options.checkpoints is not None:
                for workflow in _REAL if options.device else _REHEARSAL:
                    report[workflow.name] = await compare(
                        comfyui, workflow.graph, options.prompts, cores=False
                    )
            report["errors"] = (await comfyui.ask("GET", ""))["errors"]
            return report


def small(seed: int) -> dict[str, Any]:
    """A prompt of `_NODES` nodes that ComfyUI has not in its cache."""
    graph: dict[str, Any] = {}
    for place in range(_NODES // 2):
        make, take = str(2 * place), str(2 * place + 1)
        graph[make] = {"class_type": "BenchMake", "inputs": {"seed": seed * _NODES + place}}
        graph[take] = {"class_type": "BenchTake", "inputs": {"images": [make, 0]}}
    return graph


async def compare(
    comfyui: ProbedComfyui, graph: Callable[[int], dict[str, Any]], rounds: int, *, cores: bool
) -> dict[str, Any]:
    """Run each variant ``rounds`` times, in turns of a new order each.

    Args:
        comfyui: the worker.
        graph: a prompt by its seed.
        rounds: prompts of each variant.
        cores: whether the process's processor time is told too.

    Raises:
        Refused: a prompt failed.
    """
    seed = int(time.time()) % 10**6 * 1000
    wall: dict[str, list[float]] = {name: [] for name in VARIANTS}
    busy: dict[str, list[float]] = {name: [] for name in VARIANTS}
    order = list(VARIANTS)
    shuffle = random.Random(0).shuffle
    for turn in range(rounds + 2):  # the first two warm up
        shuffle(order)
        for name in order:
            seed += 1
            await comfyui.ask("POST", "/settings", VARIANTS[name])
            before = processor_s(comfyui.pid)
            seconds, result = await comfyui.run(graph(seed))
            if result != "ok":
                raise Refused(result)
            if turn >= 2:
                wall[name].append(seconds)
                await asyncio.sleep(0.3 if cores else 0)  # the writer's work is the probe's too
                busy[name].append(processor_s(comfyui.pid) - before)
    told = {"wall_s": wall, "processor_s": busy} if cores else {"wall_s": wall}
    return {
        "rounds": rounds,
        **{
            kind: {name: summary(some, values["off"]) for name, some in values.items()}
            for kind, values in told.items()
        },
    }


def processor_s(pid: int) -> float:
    """Seconds of processor time that all threads of a process took so far."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):  # the thread ended, or a kernel without these figures
            continue
    if total:
        return total / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def table(report: dict[str, Any]) -> str:
    """The report for a reader."""
    alone = report["isolated"]
    lines = [
        "",
        f"hook alone ({alone['device']}, Python {alone['python']}), µs per node of its thread's time:",
        f"  no hook {alone['bare_us']}, off {alone['off_us']}, hooks {alone['hooks_us']}, "
        f"with memory {alone['memory_us']}",
    ]
    for name, part in report.items():
        if not isinstance(part, dict) or "wall_s" not in part:
            continue
        lines += [
            "",
            f"{name}, {part['rounds']} rounds; more than off: median of the rounds, least:",
        ]
        for kind in ("wall_s", "processor_s"):
            if kind in part:
                lines += _lines(kind, part[kind], _NODES if name == "nodes" else 0)
    return "\n".join(lines)


def _lines(kind: str, values: dict[str, Any], nodes: int) -> list[str]:
    off = values["off"]
    lines = []
    for name, value in values.items():
        more = value["more"] * off["median"]
        per_node = f", {more / nodes * 1e6:+.1f} µs a node" if nodes else ""
        least = value["least"] / off["least"] - 1 if off["least"] else 0.0
        lines.append(
            f"  {kind:12} {name:7} {value['median']:.4f} s  "
            f"{value['more']:+.2%}{per_node}, {least:+.2%}"
        )
    return lines


def summary(some: list[float], off: list[float]) -> dict[str, float]:
    """Seconds of a variant's prompts; ``more`` is the median of how much longer than the same round's off.

    A round's prompts run one after the other, so what slows the machine for a while slows all of them.
    """
    return {
        "median": round(statistics.median(some), 6),
        "least": round(min(some), 6),
        "mean": round(statistics.fmean(some), 6),
        "more": round(
            statistics.median(
                one / base - 1 if base else 0.0 for one, base in zip(some, off, strict=True)
            ),
            5,
        ),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, help="a checkout of ComfyUI")
    parser.add_argument("--python", type=Path, help="its Python; else PATH/venv's, else this one")
    parser.add_argument("--checkpoints", type=Path, help="a folder with sd15, sdxl (or sd15-small)")
    parser.add_argument("--device", action="store_true", help="use the GPU")
    parser.add_argument("--rounds", type=int, default=30, help="prompts of 200 nodes, each variant")
    parser.add_argument("--prompts", type=int, default=10, help="real prompts, each variant")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    options = parser.parse_args()
    if options.python is None:
        beside = (options.comfyui or _ROOT) / "venv" / "bin" / "python"
        options.python = beside if beside.exists() else Path(sys.executable)
    return options


if __name__ == "__main__":
    main()
