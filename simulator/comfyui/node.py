"""What a node is to the executor, and the executor to a node."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from simulator.comfyui.catalog import Catalog
from simulator.comfyui.device import Device
from simulator.comfyui.folders import Folders

Inputs = Mapping[str, Any]
T = TypeVar("T")

#: From so many pixels on, pictures are worked on in a thread: the socket stays responsive.
_THREAD_PIXELS = 256 * 256


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What one run of a node gave.

    Attributes:
        outputs: One value per output socket.
        ui: Content of the ``executed`` frame; None sends none.
    """

    outputs: tuple[Any, ...] = ()
    ui: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture shown while a node runs. ``format`` is ``JPEG`` or ``PNG``."""

    format: str
    content: bytes


class Interrupted(Exception):
    """Somebody asked to stop the running prompt."""


class Reporter(Protocol):
    """How a node talks to clients while it runs."""

    def progress(self, value: int, maximum: int, preview: Preview | None = None) -> None:
        """Tell how far the node is.

        Raises:
            Interrupted: The prompt is to stop.
        """
        ...

    def text(self, text: str, *, everybody: bool = False) -> None:
        """Show a text on the node, to the prompt's client or to all."""
        ...


@dataclass(frozen=True, slots=True)
class NodeContext:
    """Everything that a node may use.

    Attributes:
        key: Says how this node's inputs came about; same key, same result.
        class_type: Its class.
        definition: Its ``/object_info`` entry.
        prompt: The whole prompt, for the metadata of pictures.
        extra_pnginfo: What the client wants in that metadata.
        rng: For names that must not repeat.
    """

    key: str
    class_type: str
    definition: Mapping[str, Any]
    prompt: Mapping[str, Any]
    extra_pnginfo: Mapping[str, Any]
    report: Reporter
    device: Device
    folders: Folders
    catalog: Catalog
    rng: random.Random

    async def work(self, pixels: int, function: Callable[..., T], *args: Any) -> T:
        """Call something that takes time in proportion to so many pixels."""
        if pixels < _THREAD_PIXELS:
            return function(*args)
        return await asyncio.to_thread(function, *args)


Run = Callable[[NodeContext, Inputs], Awaitable[NodeResult]]
#: Tells runs with equal inputs apart (ComfyUI's IS_CHANGED).
Changed = Callable[[Folders, Inputs], str]


@dataclass(frozen=True, slots=True)
class Node:
    """One class of nodes."""

    run: Run
    changed: Changed | None = None


class Registry(dict[str, Node]):
    """Classes by name, filled by :meth:`node` as a decorator."""

    def node(self, *names: str, changed: Changed | None = None) -> Callable[[Run], Run]:
        """Register a coroutine as the node of these classes."""

        def register(run: Run) -> Run:
            for name in names:
                self[name] = Node(run, changed)
            return run

        return register
