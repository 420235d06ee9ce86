"""Gives the workers that we start their probe, without a change to any checkout.

A copy of the pack lies below the data folder, in a folder named by its content: a
worker that an earlier agent left running keeps the files that it was started with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config.probe import Probe

#: the pack's name among a ComfyUI's node packs
_NAME: Final = "vramgate_probe"
_SOURCE: Final = Path(__file__).parent / "probe"
_VARIABLE: Final = "VRAMGATE_PROBE"


@dataclass(frozen=True, slots=True)
class ProbePack:
    """The probe as it lies on this host, and what its workers are told of it."""

    #: file for ``--extra-model-paths-config``
    config: Path
    _settings: Probe
    _cluster_token: str = field(repr=False)

    @property
    def args(self) -> tuple[str, ...]:
        """Further arguments for ``main.py``; an admin's own such file stays in force beside it."""
        return ("--extra-model-paths-config", str(self.config))

    def environment(self, worker: str) -> dict[str, str]:
        """Variables for the worker's process."""
        return probe_environment(worker, self._settings, self._cluster_token)


def probe_token(worker: str, cluster_token: str) -> str:
    """The token of one worker's probe, which is worth nothing anywhere else."""
    return hmac.new(cluster_token.encode(), f"probe:{worker}".encode(), hashlib.sha256).hexdigest()


def probe_environment(worker: str, settings: Probe, cluster_token: str) -> dict[str, str]:
    """What the probe in a worker reads when it starts (docs/probe.md, *Environment*)."""
    told: dict[str, object] = {
        "token": probe_token(worker, cluster_token),
        "redact": {"texts": settings.redact.texts.value, "inputs": settings.redact.inputs},
    }
    if settings.capture.enabled:
        capture = settings.capture
        told["capture"] = {"pixels": capture.pixels, "budget_bytes": capture.budget}
    return {_VARIABLE: json.dumps(told)}


def lay_out(
    data_dir: Path, settings: Probe, cluster_token: str, source: Path = _SOURCE
) -> ProbePack:
    """Put the pack where workers find it, unless this very one lies there already.

    Args:
        data_dir: the agent's folder; the pack goes to ``probe/<digest>/`` in it.
        settings: what the workers' probes are told.
        cluster_token: of which each worker's own token is made.
        source: the pack.

    Raises:
        OSError: it cannot be written there.
    """
    root = data_dir.resolve() / "probe" / _digest(source)
    if not root.is_dir():
        _write(source, root)
    return ProbePack(root / "paths.yaml", settings, cluster_token)


def _files(source: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    )


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(source):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _write(source: Path, root: Path) -> None:
    """All of it in one step: two agents may do this at once, and either may be killed."""
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="new-", dir=root.parent))
    try:
        pack = draft / "custom_nodes" / _NAME
        pack.mkdir(parents=True)
        for path in _files(source):
            copy = pack / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o444)
        # JSON is YAML, whatever letters a path has
        paths = {"vramgate": {"custom_nodes": str(root / "custom_nodes")}}
        (draft / "paths.yaml").write_text(json.dumps(paths))
        _rename(draft, root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _rename(draft: Path, root: Path) -> None:
    draft.chmod(0o755)
    try:
        os.rename(draft, root)
    except OSError:
        if not root.is_dir():
            raise
        # another agent was first, with the same content
