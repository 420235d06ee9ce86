"""What the probe needs of torch and of ComfyUI, small enough to look into."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

GIB = 2**30


class Device:
    """A torch device."""

    def __init__(self, type: str, index: int | None = None) -> None:
        self.type, self.index = type, index


class Cuda:
    """``torch.cuda`` over one card: a pool, tensors in it, a cap."""

    def __init__(self, total: int = 24 * GIB, backend: str = "native") -> None:
        self.total, self.backend = total, backend
        self.used = 0
        self.pool = 0
        #: what other processes hold
        self.others = 0
        self.fraction = 1.0
        self.calls: list[str] = []

    def hold(self, size: int) -> None:
        """A tensor comes (or goes, if negative); the pool grows and keeps."""
        self.used += size
        self.pool = max(self.pool, self.used)

    def memory_stats(self, device: object) -> dict[str, int]:
        return {
            "allocated_bytes.all.current": self.used,
            "active_bytes.all.current": self.used,
            "reserved_bytes.all.current": self.pool,
        }

    def memory_stats_as_nested_dict(self, device: object) -> dict[str, Any]:
        return {
            "allocated_bytes": {"all": {"current": self.used, "peak": self.used}},
            "reserved_bytes": {"all": {"current": self.pool, "peak": self.pool}},
        }

    def mem_get_info(self, device: object) -> tuple[int, int]:
        return self.total - self.others - self.pool, self.total

    def set_per_process_memory_fraction(self, fraction: float, device: object) -> None:
        self.fraction = fraction
        self.calls.append("cap")

    def get_allocator_backend(self) -> str:
        return self.backend

    def reset_peak_memory_stats(self, device: object) -> None:
        """Peaks are the present here."""

    def empty_cache(self) -> None:
        self.pool = self.used
        self.calls.append("empty_cache")


class Patcher:
    """A model patcher; its weights are on the card while it is loaded."""

    def __init__(self, cuda: Cuda, size: int, name: str = "") -> None:
        self.cuda, self.size, self.on_card = cuda, size, 0
        self.model = type("SDXL", (), {})()
        if name:
            self.model.vramgate_file = name

    def model_size(self) -> int:
        return self.size

    def loaded_size(self) -> int:
        return self.on_card

    def load(self) -> None:
        self.cuda.hold(self.size - self.on_card)
        self.on_card = self.size

    def detach(self) -> None:
        self.cuda.hold(-self.on_card)
        self.on_card = 0


class Loaded:
    """An entry of ComfyUI's list of loaded models."""

    def __init__(self, patcher: Patcher) -> None:
        self.model: Patcher | None = patcher

    def model_unload(self) -> bool:
        assert self.model is not None
        self.model.detach()
        return True


def management(cuda: Cuda) -> Any:
    """``comfy.model_management`` over a card."""
    module = SimpleNamespace(current_loaded_models=[])

    def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
        free = cuda.total - cuda.others - cuda.used
        return (free, cuda.pool - cuda.used) if torch_free_too else free

    def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
        return (cuda.total, cuda.pool) if torch_total_too else cuda.total

    def unload_all_models() -> None:
        while module.current_loaded_models:
            module.current_loaded_models.pop().model_unload()

    module.get_free_memory, module.get_total_memory = get_free_memory, get_total_memory
    module.unload_all_models = unload_all_models
    return module


def load(module: Any, patcher: Patcher) -> Patcher:
    """As ComfyUI does: the last used stands first."""
    patcher.load()
    module.current_loaded_models.insert(0, Loaded(patcher))
    return patcher


class Queue:
    """ComfyUI's ``PromptQueue``, as far as its thread sees it; the same since 2023."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.not_empty = threading.Condition(self.mutex)
        self.queue: list[Any] = []
        self.currently_running: dict[int, Any] = {}
        self.flags: dict[str, Any] = {}

    def put(self, item: Any) -> None:
        with self.mutex:
            self.queue.append(item)
            self.not_empty.notify()

    def get(self, timeout: float | None = None) -> Any:
        with self.not_empty:
            while not self.queue:
                self.not_empty.wait(timeout=timeout)
                if timeout is not None and not self.queue:
                    return None
            item = self.queue.pop(0)
            self.currently_running[0] = item
            return item, 0

    def task_done(self) -> None:
        with self.mutex:
            self.currently_running.pop(0)

    def set_flag(self, name: str, data: Any) -> None:
        with self.mutex:
            self.flags[name] = data
            self.not_empty.notify()


class PromptsThread:
    """The thread that runs prompts: what is put into the queue is called there."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> PromptsThread:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.queue.put(None)
        self.thread.join(10)
        assert not self.thread.is_alive()

    def _work(self) -> None:
        while True:
            taken = self.queue.get(timeout=1000.0)
            if taken is None:
                continue
            prompt: Callable[[], None] | None = taken[0]
            if prompt is None:
                return
            prompt()
            self.queue.task_done()
