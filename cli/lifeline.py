"""Children that never outlive their parent, not even after ``kill -9``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> Callable[[], None] | None:
    """What a child calls between fork and exec, as ``preexec_fn`` (Linux; elsewhere None).

    The kernel sends SIGTERM when the *thread* that forked ends: start children from the
    main thread.

    Args:
        parent: this process's id, taken before the fork.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def preexec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return preexec
