"""Which file a loaded model came from. ComfyUI forgets it, and the scheduler knows models by file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from .hooks import Hooks

#: functions of ``comfy.sd`` that take a path and return what was loaded from it
_LOADERS = ("load_checkpoint_guess_config", "load_diffusion_model", "load_clip")
#: attribute that the name is kept in, on the torch module, which all clones of a patcher share
_MARK = "vramgate_file"


def hold_loaders(hooks: Hooks, sd: Any, folders: Callable[[], Iterable[str]]) -> None:
    """Note the file of each model as it is loaded.

    Args:
        hooks: where to note which of them this version has.
        sd: ``comfy.sd``.
        folders: gives the folders that models lie in; names are relative to them.
    """
    for name in _LOADERS:
        hooks.wrap("sd." + name, sd, name, lambda original: _loader(original, folders))


def name_of(patcher: Any) -> str:
    """The file that a model came from as workflows name it; else the name of its class."""
    model = getattr(patcher, "model", None)
    return str(getattr(model, _MARK, None) or type(model).__name__)


def _loader(original: Callable[..., Any], folders: Callable[[], Iterable[str]]) -> Any:
    @functools.wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        loaded = original(*args, **kwargs)
        paths = [path for path in _paths((*args, *kwargs.values())) if os.path.isfile(path)]
        if paths:
            name = "+".join(_relative(path, folders()) for path in paths)
            for part in loaded if isinstance(loaded, tuple) else (loaded,):
                _mark(part, name)
        return loaded

    return load


def _paths(values: Iterable[Any]) -> list[str]:
    """The paths among the arguments: one text, or a list of them."""
    for value in values:
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return value
    return []


def _relative(path: str, folders: Iterable[str]) -> str:
    """``path`` as a workflow would name it: relative to the folder of models that it lies in."""
    full = os.path.abspath(path)
    within = [f for f in map(os.path.abspath, folders) if full.startswith(f + os.sep)]
    if not within:
        return os.path.basename(full)
    return os.path.relpath(full, max(within, key=len)).replace(os.sep, "/")


def _mark(part: Any, name: str) -> None:
    """A patcher has its torch module in ``model``; text encoders and VAEs have a patcher."""
    patcher = getattr(part, "patcher", part)
    model = getattr(patcher, "model", None)
    if model is not None and not isinstance(model, str):
        setattr(model, _MARK, name)
