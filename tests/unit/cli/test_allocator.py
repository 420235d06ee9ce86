"""What threads cost a process in memory."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
#: eight threads at once that each take memory of the C library's; prints its pools
_THREADS = """
import ctypes, sys, threading
from cli.allocator import share_arenas
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "shared":
    assert share_arenas()
meet = threading.Barrier(8)
def take():
    meet.wait()
    libc.malloc(ctypes.c_size_t(2000))
    meet.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


def _pools(how: str) -> int:
    command = [sys.executable, "-c", _THREADS, how]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.count("<heap ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_all_threads_of_a_role_share_two_pools_of_memory() -> None:
    assert _pools("own") > 2, "the C library gives threads pools of their own"
    assert _pools("shared") <= 2
