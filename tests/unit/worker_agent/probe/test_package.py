from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker_agent.probe

FOLDER = Path(worker_agent.probe.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))

#: modules of Python 3.9's standard library that the pack uses, what ComfyUI needs itself, and its own
ALLOWED = {
    *("__future__", "asyncio", "collections", "concurrent", "contextlib", "ctypes", "dataclasses"),
    *("fnmatch", "functools", "gc", "hashlib", "hmac", "importlib", "inspect", "io", "itertools"),
    *(
        "json",
        "logging",
        "math",
        "os",
        "pathlib",
        "platform",
        "queue",
        "re",
        "secrets",
        "sys",
        "threading",
    ),
    *("time", "typing", "uuid", "weakref", "copy", "traceback", "types"),
    *("torch", "aiohttp", "PIL"),
    *("comfy", "execution", "folder_paths", "nodes", "server"),
}
each_file = pytest.mark.parametrize("path", FILES, ids=lambda one: one.name)


def imported(tree: ast.AST) -> Iterator[str]:
    """First parts of the absolute names that are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@each_file
def test_each_file_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


@each_file
def test_each_file_uses_the_standard_library_and_what_comfyui_has(path: Path) -> None:
    assert set(imported(ast.parse(path.read_text()))) <= ALLOWED


@each_file
def test_types_are_never_joined_by_a_bar_when_the_file_runs(path: Path) -> None:
    tree = ast.parse(path.read_text())
    future = [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert future, "annotations would be evaluated"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            assert not isinstance(node.args[1], ast.BinOp), f"line {node.lineno}"
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            sides = (node.value.left, node.value.right)
            assert not (
                isinstance(node.value.op, ast.BitOr)
                and any(isinstance(side, ast.Constant) and side.value is None for side in sides)
            ), f"line {node.lineno}"


@each_file
def test_no_file_uses_what_came_after_3_9(path: Path) -> None:
    newer = {"slots", "kw_only", "strict"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            used = {keyword.arg for keyword in node.keywords} & newer
            assert not used, f"line {node.lineno}: {used}"
        if isinstance(node, ast.ImportFrom) and node.module in ("typing", "enum"):
            names = {alias.name for alias in node.names}
            assert not names & {"Self", "TypeAlias", "StrEnum", "assert_never", "override"}


def test_imported_as_part_of_vramgate_the_pack_does_nothing() -> None:
    assert not hasattr(worker_agent.probe, "NODE_CLASS_MAPPINGS")
