"""36 jobs on a real GPU: one ComfyUI, workers round robin, the same workers through vramgate.

    ./run bench gpu.mix --comfyui PATH --gib 24 --results results.jsonl
    ./run bench gpu.mix --report --results results.jsonl

``--parts`` splits a pass over several commands; rows accumulate in the results file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.gpu import rows
from bench.gpu.agent_cost import agent_cost
from bench.gpu.baselines import one_worker, round_robin, warm_times
from bench.gpu.card import Card
from bench.gpu.foreign import foreign_process
from bench.gpu.kill import kill_worker
from bench.gpu.lie import lying_estimate
from bench.gpu.report import table
from bench.gpu.setting import Setting, front_end, say, write_checkpoints
from bench.gpu.shared import through_vramgate
from scheduler.ledger import LedgerUnavailable
from worker_agent.nvml import GpuUnreadable

Part = Callable[[Setting], Awaitable[None]]

#: what a part may end with without the others being left out
_BREAKS: Final = (
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    aiohttp.ClientError,
    subprocess.SubprocessError,
    LedgerUnavailable,
    GpuUnreadable,
)
PARTS: Final[dict[str, Part]] = {
    "warm": warm_times,
    "one": one_worker,
    "rr": round_robin,
    "vramgate": through_vramgate,
    "kill": kill_worker,
    "foreign": foreign_process,
    "lie": lying_estimate,
    "agent": agent_cost,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--comfyui", type=Path, metavar="PATH", help="a ComfyUI checkout, its packages installed")
    add("--comfyui-python", type=Path, metavar="FILE", help="its Python; default: its venv")
    add("--comfyui-arg", action="append", default=[], metavar="ARG", help="for all ComfyUIs alike")
    add("--gib", type=float, help="leave so much of the card, the rest is held; default: all")
    add("--gpu", type=int, default=0, metavar="N", help="which GPU (0)")
    add("--workers", type=int, default=3, help="processes that share the card (3)")
    add("--parts", default="warm,one,rr,vramgate", help=f"of {','.join(PARTS)}, in this order")
    add("--order", type=int, action="append", help="0: as recorded; n: shuffled with seed n")
    add("--times", type=int, default=1, help="how often the mix is posted, all at once (1)")
    add("--rounds", type=int, default=1, help="and again when all have ended, same processes (1)")
    add("--config", default="{}", metavar="JSON", help="further settings of vramgate")
    add("--limit", type=float, default=400.0, help="most seconds for one round (400)")
    add("--start", type=float, default=180.0, help="most seconds until workers answer (180)")
    add("--cpu", action="store_true", help="rehearse without a GPU, with small work")
    add("--results", type=Path, metavar="FILE", help="rows are appended here, one JSON a line")
    add("--report", action="store_true", help="print the table of the results file, run nothing")
    add("--folder", type=Path, help="for logs and data; default: a temporary one, removed")
    return parser.parse_args()


def _setting(options: argparse.Namespace, folder: Path) -> Setting:
    comfyui = options.comfyui.expanduser().resolve()
    return Setting(
        comfyui=comfyui,
        python=options.comfyui_python or _python(comfyui),
        args=(*front_end(folder), *options.comfyui_arg),
        workers=options.workers,
        gib=options.gib,
        order=0,
        times=options.times,
        rounds=options.rounds,
        cpu=options.cpu,
        results=options.results,
        folder=folder,
        limit_s=options.limit,
        start_s=options.start,
        config=json.loads(options.config),
        card=Card.open(without=options.cpu, index=options.gpu),
    )


def _python(comfyui: Path) -> Path:
    for name in (".venv", "venv"):
        if (found := comfyui / name / "bin" / "python").exists():
            return found
    return Path(sys.executable)


async def _run(setting: Setting, parts: list[str], orders: list[int]) -> int:
    """All parts for each order; a part that breaks is told and does not stop the others."""
    broken = 0
    with setting.narrow() as held:
        say(f"{held / 2**30:.1f} GiB of the card are held")
        for order in orders:
            for name in parts:
                say(f"part {name}, order {order}")
                try:
                    await PARTS[name](replace(setting, order=order))
                except _BREAKS:
                    broken += 1
                    setting.note(name, {"broke": traceback.format_exc()[-3000:]})
    return broken


def main() -> None:
    """Run the parts, or print the table; exit code 1 if a part broke."""
    options = _options()
    if options.report:
        found: list[Any] = [] if options.results is None else rows.read(options.results)
        print(table(found))
        return
    parts = options.parts.split(",")
    if options.comfyui is None or not (options.comfyui / "main.py").is_file():
        sys.exit("name a ComfyUI checkout with --comfyui PATH: a folder that holds main.py")
    if unknown := [part for part in parts if part not in PARTS]:
        sys.exit(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as scratch:
        setting = _setting(options, (options.folder or Path(scratch)).resolve())
        if setting.card.reading() is None and not options.cpu:
            sys.exit("no NVIDIA GPU answers here; --cpu rehearses without one")
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        # a time limit's SIGTERM must not leave workers behind: they lead sessions of their own
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        say("checkpoints")
        write_checkpoints(setting)
        broken = asyncio.run(_run(setting, parts, options.order or [0]))
    if options.results is not None:
        print(table(rows.read(options.results)))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
