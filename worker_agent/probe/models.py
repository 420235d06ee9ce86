"""Loads and unloads of models, and the VAE's fall-backs: hooks of their own, timed."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from .hooks import Hooks
from .watch import Watch

#: how names of what ComfyUI's VAE calls to work in tiles begin, whichever version
_TILED = ("decode_tiled", "encode_tiled", "_decode_tiled", "_encode_tiled")

Put = Callable[[str, Any, Any], None]


def hold_models(hooks: Hooks, management: Any, watch: Watch, put: Put) -> None:
    """Time loads and unloads. ``management`` is ``comfy.model_management``."""
    loaded = getattr(management, "LoadedModel", None)
    hooks.wrap(
        "LoadedModel.model_load", loaded, "model_load", lambda f: _moved(f, "load", watch, put)
    )
    hooks.wrap(
        "LoadedModel.model_unload",
        loaded,
        "model_unload",
        lambda f: _moved(f, "unload", watch, put),
    )


def hold_vae(hooks: Hooks, sd: Any, watch: Watch, device: Any) -> None:
    """See a VAE fall back to tiles or to the CPU. ``sd`` is ``comfy.sd``.

    ComfyUI says so in its log only. But it does it in one way since 2023: a ``decode`` that was not
    asked for tiles calls the tiled functions of the same object.
    """
    vae = getattr(sd, "VAE", None)
    plain = threading.local()
    for name in ("decode", "encode"):
        hooks.wrap("VAE." + name, vae, name, lambda f: _plain(f, plain, watch, device))
    found = [name for name in dir(vae) if name.startswith(_TILED)]
    for name in found:
        hooks.wrap("VAE." + name, vae, name, lambda f: _tiled(f, plain, watch))
    if not found:
        hooks.missing.append("VAE.decode_tiled")


def _moved(original: Callable[..., Any], what: str, watch: Watch, put: Put) -> Callable[..., Any]:
    @functools.wraps(original)
    def moved(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not watch.settings.hooks:
            return original(self, *args, **kwargs)
        before, patcher = _state(self, watch)
        began = time.perf_counter()
        try:
            return original(self, *args, **kwargs)
        finally:
            _note(patcher, what, before, time.perf_counter() - began, watch, put)

    return moved


def _state(loaded: Any, watch: Watch) -> tuple[int | None, Any]:
    """Bytes of a model on its device, and what holds it (an unload may let go of that)."""
    try:
        patcher = loaded.model
        return _on_device(patcher), patcher
    except Exception as error:
        watch.troubles.add("model", error)
        return None, None


def _on_device(patcher: Any) -> int | None:
    """Bytes on the device; None before 2024-08, when a model was there as a whole or not at all."""
    size = getattr(patcher, "loaded_size", None)
    return None if size is None else int(size())


def _note(
    patcher: Any, what: str, before: int | None, seconds: float, watch: Watch, put: Put
) -> None:
    if patcher is None:
        return
    try:
        after, whole = _on_device(patcher), int(patcher.model_size())
        if after is None:
            after = whole if what == "load" else 0
        elif after == before:
            return  # already there: ComfyUI asks for each model before each use
        prompt, node = watch.prompt, watch.node
        if prompt is not None and what == "load":
            prompt.loads += 1
            prompt.load_seconds += seconds
        record = {
            "kind": "model",
            "at": time.time(),
            "prompt": None if prompt is None else prompt.prompt,
            "node": None if node is None else node.node,
            "what": what,
            "model": type(patcher.model).__name__,
            "bytes": whole,
            "loaded_bytes": after,
            "seconds": round(seconds, 6),
        }
        put("record", record, None)
    except Exception as error:
        watch.troubles.add("model", error)


def _plain(original: Callable[..., Any], plain: Any, watch: Watch, device: Any) -> Any:
    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = getattr(plain, "vae", None)
        plain.vae = self
        _mark_cpu(self, watch, device)
        try:
            return original(self, *args, **kwargs)
        finally:
            plain.vae = outer

    return run


def _tiled(original: Callable[..., Any], plain: Any, watch: Watch) -> Any:
    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        node = watch.node
        if node is not None and getattr(plain, "vae", None) is self:
            node.fallback = "tiled"
        return original(self, *args, **kwargs)

    return run


def _mark_cpu(vae: Any, watch: Watch, device: Any) -> None:
    """A VAE that runs on the CPU of a worker that has a GPU."""
    node = watch.node
    if node is None or getattr(device, "type", "cpu") == "cpu":
        return
    if getattr(getattr(vae, "device", None), "type", "") == "cpu":
        node.fallback = "cpu"
