"""Hold memory of the GPU until standard input closes. Runs in ComfyUI's own Python (torch).

    PYTHON holder.py --leave BYTES     so that only so much of the card is left to others
    PYTHON holder.py --take BYTES      so much, as soon as it is there, like a neighbour that needs it

Prints ``held BYTES`` when it has what it wants; with ``--take`` also ``part BYTES`` on the way.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

#: how much is taken at once on the way to all
_STEP: Final = 256 * 2**20
#: between two tries, seconds
_PAUSE_S: Final = 0.02
#: when it gives up and keeps what it has, seconds
_PATIENCE_S: Final = 60.0


def _leave(torch: Any, left: int) -> list[Any]:
    free, _ = torch.cuda.mem_get_info()
    if free <= left:
        return []
    return [torch.empty(free - left, dtype=torch.uint8, device="cuda")]


def _take(torch: Any, wanted: int) -> list[Any]:
    held: list[Any] = []
    deadline = time.monotonic() + _PATIENCE_S
    while len(held) * _STEP < wanted and time.monotonic() < deadline:
        try:
            held.append(torch.empty(_STEP, dtype=torch.uint8, device="cuda"))
        except torch.cuda.OutOfMemoryError:
            print(f"part {len(held) * _STEP}", flush=True)
            time.sleep(_PAUSE_S)
    return held


def hold() -> None:
    """Take it, say so, keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    wish = parser.add_mutually_exclusive_group(required=True)
    wish.add_argument("--leave", type=int)
    wish.add_argument("--take", type=int)
    options = parser.parse_args()
    import torch

    held = _take(torch, options.take) if options.leave is None else _leave(torch, options.leave)
    print(f"held {sum(part.numel() for part in held)}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    hold()
