"""The thread that reads memory while a prompt runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: seconds between two samples: four a second show a sampler's steps and its decode apart
EVERY_S = 0.25


class Sampler:
    """Calls something at even times while it is on."""

    def __init__(self, sample: Callable[[], None]) -> None:
        self._sample = sample
        self._on = threading.Event()
        self._stop = threading.Event()
        self._failed: Callable[[str, BaseException], None] | None = None
        self._thread = threading.Thread(target=self._work, name="vramgate-sampler", daemon=True)

    def start(self, failed: Callable[[str, BaseException], None]) -> None:
        """Begin; ``failed`` is told of what goes wrong here."""
        self._failed = failed
        self._thread.start()

    def stop(self) -> None:
        """End after at most one more sample."""
        self._stop.set()
        self._on.set()
        self._thread.join()

    def on(self) -> None:
        """A prompt began."""
        self._on.set()

    def off(self) -> None:
        """It ended."""
        self._on.clear()

    def _work(self) -> None:
        while self._on.wait() and not self._stop.wait(EVERY_S):
            if not self._on.is_set():
                continue
            try:
                self._sample()
            except Exception as error:
                if self._failed is not None:
                    self._failed("sampler", error)
