"""How the C library hands out memory: few pools for all threads of a process."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

#: glibc's ``M_TRIM_THRESHOLD``, ``M_MMAP_THRESHOLD`` and ``M_ARENA_MAX`` (malloc.h; mallopt(3))
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
#: one for the main thread, one for all others
_ARENAS: Final = 2
#: bytes at a pool's end that stay the process's: a dozen pictures on their way at once
_KEPT_BYTES: Final = 16 * 2**20
#: a larger piece is memory of its own, and goes back to the system with it
_LARGE_BYTES: Final = 4 * 2**20


def share_arenas() -> bool:
    """Let all threads share two pools; call it before there are threads.

    glibc gives each thread a pool of its own, up to eight for each processor, and what is freed
    in one serves no other. A role has a dozen threads that take turns (the database's, files,
    pictures); each pool would grow for itself to the most that its thread ever needed at once.
    Python runs one thread at a time anyway, so none waits for another here.

    Returns:
        Whether the C library can do that; others than glibc have no such pools.
    """
    return _set({_M_ARENA_MAX: _ARENAS})


def keep_freed() -> bool:
    """Let pools keep some memory that is freed, for the next piece as large.

    Left to itself glibc gives back what is free at a pool's end once it is twice the largest
    piece so far. A process that hands out pictures of a megabyte then has its pages taken and
    given all the time, and the system fills each with zeros: a megabyte takes three times as
    long to read (measured: 300 µs in place of 100, and 110 page faults in place of none).

    Returns:
        As ``share_arenas``.
    """
    return _set({_M_TRIM_THRESHOLD: _KEPT_BYTES, _M_MMAP_THRESHOLD: _LARGE_BYTES})


def _set(wanted: Mapping[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(what, value) for what, value in wanted.items()])
