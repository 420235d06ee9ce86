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


#: six large pieces at once, ten times; prints for how many pages the system had to find memory
#: after the first time
_PIECES = """
import ctypes, resource, sys
from cli.allocator import keep_freed
if sys.argv[1] == "kept":
    assert keep_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def take():
    pieces = [ctypes.c_void_p(libc.malloc(ctypes.c_size_t(2**20))) for _ in range(6)]
    for piece in pieces: ctypes.memset(piece, 1, 2**20)
    for piece in pieces: libc.free(piece)
take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _pages(how: str) -> int:
    command = [sys.executable, "-c", _PIECES, how]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_pictures_that_come_and_go_take_the_memory_of_those_before() -> None:
    assert _pages("own") > 3000, "the C library gives it back and asks for it again"
    assert _pages("kept") < 500
