"""Options that many commands share, and how they become settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from config.loading import Loaded, Option, default_data_dir, find_file, load
from config.reload import SettingsSource

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings as YAML; by default ./vramgate.yaml, then vramgate.yaml in the data folder.",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder for queue, database and files; by default ~/.local/share/vramgate.",
    ),
]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every command stands on."""

    source: SettingsSource
    #: absolute; may not exist yet
    data_dir: Path

    @property
    def loaded(self) -> Loaded:
        """The settings and where they come from."""
        return self.source.loaded


def read_ground(
    config: Path | None,
    data_dir: Path | None,
    options: Iterable[Option] = (),
    environ: Mapping[str, str] | None = None,
) -> Ground:
    """Settings of this call.

    Raises:
        ConfigError: they cannot be used.
    """
    known = os.environ if environ is None else environ
    file = find_file(config, known, data_dir)
    given = list(options)
    if data_dir is not None:
        given.append(Option("data_dir", str(data_dir.expanduser()), "--data-dir"))
    source = SettingsSource(lambda: load(file, environ=known, options=given))
    folder = source.current().data_dir or default_data_dir(known)
    return Ground(source, folder.expanduser().absolute())
