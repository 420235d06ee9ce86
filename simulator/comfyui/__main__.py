"""``python -m simulator.comfyui``: one simulated worker on loopback."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from aiohttp import web

from simulator.comfyui.app import build_app
from simulator.comfyui.options import WorkerOptions
from worker_agent.probe.settings import from_environment


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    options = _parse(arguments)
    web.run_app(
        build_app(options),
        host="127.0.0.1",
        port=options.port,
        # One line so that a supervisor's log shows it came up.
        print=lambda _: print(f"simulated ComfyUI listens on 127.0.0.1:{options.port}", flush=True),
        access_log=None,
        shutdown_timeout=1.0,
    )


def _parse(arguments: list[str] | None) -> WorkerOptions:
    parser = argparse.ArgumentParser(prog="simulator.comfyui", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument(
        "--gpu-dir", required=True, help="directory of a simulated GPU, or none for a CPU worker"
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="inputs, outputs, settings")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster time passes")
    parser.add_argument("--seed", type=int, default=None, help="of what is random")
    parser.add_argument("--lab-nodes", action="store_true", help="offer the tests' LabXxx nodes")
    given = parser.parse_args(arguments)
    return WorkerOptions(
        data_dir=given.data_dir,
        gpu_dir=None if given.gpu_dir == "none" else Path(given.gpu_dir),
        speed=given.speed,
        seed=given.seed,
        lab_nodes=given.lab_nodes,
        port=given.port,
        probe=from_environment(os.environ),
    )


if __name__ == "__main__":
    main()
