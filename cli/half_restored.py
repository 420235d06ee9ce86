"""The note of a restore under way: what it leaves when it is cut off, and who heeds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from cli.errors import CliError

#: in the data folder
NOTE: Final = "restore.json"


def refuse_half_restored(data_dir: Path) -> None:
    """Nothing may start where a restore was cut off.

    Raises:
        CliError: one was.
    """
    try:
        note = json.loads((data_dir / NOTE).read_text())
    except (FileNotFoundError, NotADirectoryError):  # a wrong folder is told by who makes it
        return
    raise CliError(
        f"a restore into {data_dir} was cut off, and only part of it is there: run "
        f"`vramgate restore {note['source']}` again"
    )


def is_half_restored(data_dir: Path) -> bool:
    """Whether a restore was cut off while parts changed places."""
    return (data_dir / NOTE).exists()
