"""How the C library hands out memory: few pools for all threads of a process."""

from __future__ import annotations

import ctypes
from typing import Final

#: glibc's ``M_ARENA_MAX`` (malloc.h; mallopt(3))
_M_ARENA_MAX: Final = -8
#: one for the main thread, one for all others
_ARENAS: Final = 2


def share_arenas() -> bool:
    """Let all threads share two pools; call it before there are threads.

    glibc gives each thread a pool of its own, up to eight for each processor, and what is freed
    in one serves no other. A role has a dozen threads that take turns (the database's, files,
    pictures); each pool would grow for itself to the most that its thread ever needed at once.
    Python runs one thread at a time anyway, so none waits for another here.

    Returns:
        Whether the C library can do that; others than glibc have no such pools.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, _ARENAS))
