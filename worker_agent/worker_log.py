"""What a worker's process writes: kept within bounds, and shown without people's texts.

The process writes to the file itself, so that it outlives an agent that is killed. A log that
is too large is therefore copied and emptied in place; what is written in between (a
millisecond) may be lost. Texts are taken out when a log is shown, not when it is written.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from worker_agent.tenancy import ROOT

_log = structlog.get_logger(__name__)

#: most lines and bytes that are shown at once
MOST_LINES: Final = 2000
_MOST_BYTES: Final = 2**20
#: a line that is longer is cut when it is shown, characters
_LONGEST: Final = 2000

_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
#: ComfyUI 0.3.64 writes values of a refused prompt behind these words (execution.py, server.py)
_VALUES: Final = (
    re.compile(r"^(invalid prompt: ).*"),
    re.compile(r"^(Failed to validate prompt for output [^:]*:).+"),
    re.compile(r"^(\s+- (?:[A-Z][\w ]*): ).*"),
    re.compile(r"^(.*\bException when validating\b[^:]*: ).*"),
)
#: the last line of a traceback: its type stays, quoted values go
_RAISED: Final = re.compile(
    r"^(?:!!! Exception during processing !!! )?[\w.]+(?:Error|Exception|Interrupt)\b"
)
_QUOTED: Final = re.compile(r"""("|')(?:\\.|(?!\1).)*\1""")
_FOLDER: Final = re.compile(rf"\b{ROOT}[\\/][\w.-]+[\\/][^\s'\"]*")
_SECRET: Final = re.compile(
    r"(?i)\b(authorization|api[-_]?key|access[-_]?token|token|password|secret)(\"?\s*[:=]\s*)\S.*"
)
_HIDDEN: Final = "[…]"


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How much is kept of a worker's log."""

    #: a file that is larger is put aside
    file_bytes: int
    #: files put aside
    files: int


def rotate(path: Path, bounds: LogBounds) -> None:
    """Put a log aside that has grown too large: ``x.log`` → ``x.log.1`` → ``x.log.2``."""
    try:
        if path.stat().st_size <= bounds.file_bytes:
            return
        for number in range(bounds.files - 1, 0, -1):
            older = _aside(path, number)
            if older.exists():
                older.replace(_aside(path, number + 1))
        if bounds.files:
            shutil.copyfile(path, _aside(path, 1))
            _aside(path, 1).chmod(0o600)
        # the process appends, so that it goes on at the new end
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("worker_log_not_rotated", path=str(path), detail=str(error))


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, from the file put aside too, without people's texts."""
    wanted = max(0, min(lines, MOST_LINES))
    found = _last_lines(path)
    if len(found) < wanted:
        found = _last_lines(_aside(path, 1)) + found
    return [_shown(line) for line in found[len(found) - min(wanted, len(found)) :]]


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []  # it has not written yet
    found = text.replace("\r\n", "\n").split("\n")
    whole = found if size <= _MOST_BYTES else found[1:]
    return whole[:-1] if whole and not whole[-1] else whole


def _shown(line: str) -> str:
    # a progress bar overwrites itself: its last state counts
    text = _CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2])[:_LONGEST]
    for pattern in _VALUES:
        text = pattern.sub(rf"\g<1>{_HIDDEN}", text)
    if _RAISED.match(text):
        text = _QUOTED.sub(_HIDDEN, text)
    text = _SECRET.sub(rf"\g<1>\g<2>{_HIDDEN}", text)
    return _FOLDER.sub(f"{ROOT}/{_HIDDEN}", text)
