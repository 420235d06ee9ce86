"""The probe of one process: its parts, put together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from .capture import Gallery
from .flush import Flush
from .hooks import Hooks
from .meter import Meter
from .records import sample_record
from .ring import Ring
from .sampler import Sampler
from .settings import Settings
from .troubles import Troubles
from .watch import Watch
from .writer import Writer

logger = logging.getLogger("vramgate.probe")


class Probe:
    """What the hooks note, what the routes tell.

    Attributes:
        settings: those in force (``change`` changes them).
        ring: records until acknowledged.
        hooks: which hooks are in place and which this version lacks.
        watch: the running prompt; ``at_start`` and ``at_end`` run in the prompts' thread.
        meter: the memory counters.
        flush: sends records to a socket.
        gallery: captured previews by id.
        troubles: errors of the probe itself.
    """

    def __init__(
        self,
        settings: Settings,
        meter: Meter,
        server: Any,
        boot: str,
        mappings: Mapping[str, Any] | None = None,
    ) -> None:
        """``server`` is ComfyUI's ``PromptServer``, ``boot`` the id of this life.

        ``mappings`` are ComfyUI's node classes; without them outputs have numbers for names.
        """
        classes = Classes({} if mappings is None else mappings)
        self.settings = settings
        self.meter = meter
        self.ring = Ring(boot)
        self.hooks = Hooks()
        self.writer = Writer(self.ring, classes.names, settings.redact, settings.token)
        self.troubles = Troubles(self.writer.tell)
        self.watch = Watch(settings, meter, self.writer.put, self.troubles)
        self.flush = Flush(self.ring, server)
        self.gallery = Gallery(classes.types)
        self.sampler = Sampler(self._sample)
        self.watch.at_start.append(self.sampler.on)
        self.watch.at_end.append(self.sampler.off)
        self.writer.listeners.append(self.flush.heard)
        self._changing = threading.Lock()
        self._apply(settings)

    def start(self) -> None:
        """Start the threads."""
        for part in (self.writer, self.flush, self.gallery, self.sampler):
            part.start(self.troubles.add)

    def stop(self) -> None:
        """End the threads; what was noted is in the ring then."""
        for part in (self.sampler, self.gallery, self.flush, self.writer):
            part.stop()

    def catch_up(self) -> None:
        """Make records of all that was noted until now, rather than at the writer's next look."""
        self.writer.drain()

    def change(self, patch: Mapping[str, Any]) -> Settings:
        """Take the settings named in ``patch``.

        Returns:
            The settings in force.

        Raises:
            BadSettings: one of them cannot be used; none was taken.
        """
        with self._changing:
            self._apply(self.settings.changed(patch))
            return self.settings

    def _apply(self, settings: Settings) -> None:
        self.settings = self.watch.settings = settings
        self.writer.redact(settings.redact)
        self.gallery.rule(settings.capture)
        self.watch.look = None if settings.capture is None else self.gallery.look

    def _sample(self) -> None:
        if self.settings.hooks and self.settings.memory:
            reading, free = self.meter.sample(), self.meter.device_free()
            running, limit = self.watch.running, self.watch.limit()
            self.writer.tell(sample_record(running, reading, free, limit))


class Classes:
    """The node classes of this process, as ComfyUI's ``NODE_CLASS_MAPPINGS`` has them."""

    def __init__(self, mappings: Mapping[str, Any]) -> None:
        self._mappings = mappings

    def names(self, class_type: str) -> Sequence[str]:
        """Names of a class's outputs; its types where it names none."""
        return self._of(class_type, "RETURN_NAMES") or self.types(class_type)

    def types(self, class_type: str) -> Sequence[str]:
        """Types of a class's outputs."""
        return self._of(class_type, "RETURN_TYPES")

    def _of(self, class_type: str, attribute: str) -> Sequence[str]:
        found = getattr(self._mappings.get(class_type), attribute, None)
        return [str(one) for one in found] if isinstance(found, (list, tuple)) else ()
