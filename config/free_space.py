"""Room on a disk: how much there is, how much is to be left, and how a full one says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

#: what the system says where a disk, or its owner's share of it, is full
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def free_bytes(folder: Path) -> int | None:
    """Bytes that may still be written there; None: the folder is not to be seen."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
