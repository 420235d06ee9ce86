"""``./run bench NAME …``: run one benchmark, or list them."""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Every module here with a ``main``, by name, and the first line about it."""
    found = {}
    files = [*_HERE.glob("*.py"), *_HERE.glob("*/*.py")]
    for file in sorted(files, key=lambda file: file.relative_to(_HERE).parts):
        if file.stem.startswith("_"):
            continue
        tree = ast.parse(file.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            name = ".".join(file.relative_to(_HERE).with_suffix("").parts)
            found[name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main() -> int:
    """Run what the first argument names; the rest is the benchmark's own."""
    known = benchmarks()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h"):
        print("./run bench NAME [OPTIONS]   (NAME --help tells the options)\n")
        for each, about in known.items():
            print(f"  {each:14} {about}")
        return 0
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "`./run bench` lists them."
        print(f"there is no benchmark {name}; {hint}", file=sys.stderr)
        return 2
    sys.argv = [f"bench {name}", *sys.argv[2:]]
    importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
