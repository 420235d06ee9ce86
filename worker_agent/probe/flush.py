"""Records go to one socket of ComfyUI's own server, each second or when many wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from .ring import Ring

#: records of one frame, some 150 kB of JSON
MOST = 256
#: seconds between two frames, unless MOST wait
EVERY_S = 1.0
#: the frame's type in ComfyUI's protocol
TYPE = "vramgate"


class Flush:
    """Sends what the ring has to whoever subscribed, one frame at a time.

    While the socket is away nothing is sent and nothing is lost: the ring keeps it. A frame that was
    on its way when the socket broke is asked for again with ``/records``.
    """

    def __init__(self, ring: Ring, server: Any) -> None:
        """``server`` is ComfyUI's ``PromptServer``."""
        self._ring = ring
        self._server = server
        self._sid: str | None = None
        self._sent = 0
        self._frame: Future[Any] | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._failed: Callable[[str, BaseException], None] | None = None
        self._thread = threading.Thread(target=self._work, name="vramgate-flush", daemon=True)

    def start(self, failed: Callable[[str, BaseException], None]) -> None:
        """Begin; ``failed`` is told of what goes wrong here."""
        self._failed = failed
        self._thread.start()

    def stop(self) -> None:
        """End after at most one more look."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def subscribe(self, sid: str) -> int:
        """From now on records go to the socket ``sid`` alone.

        Returns:
            The number of the last record before; older ones are asked for.
        """
        last = self._ring.last
        self._sent, self._sid = last, sid
        return last

    def heard(self, record: dict[str, Any]) -> None:
        """A record was added to the ring."""
        if self._sid is not None and record["seq"] - self._sent >= MOST:
            self._wake.set()

    def push(self) -> bool:
        """Send one frame if there is anything to send and anybody to send it to.

        Returns:
            Whether there may be more.

        Raises:
            Exception: what the server said of the frame before, whose records are asked for again.
        """
        sid = self._sid
        if sid is None or sid not in self._server.sockets:
            return False
        if not self._arrived():
            return False  # the socket is slow: frames do not pile up before it
        records = self._ring.after(self._sent, MOST)
        if not records:
            return False
        data = {"boot": self._ring.boot, "first": records[0]["seq"], "records": records}
        self._sent = records[-1]["seq"]
        self._frame = asyncio.run_coroutine_threadsafe(
            self._server.send(TYPE, data, sid), self._server.loop
        )
        return len(records) == MOST

    def _arrived(self) -> bool:
        frame = self._frame
        if frame is None:
            return True
        if not frame.done():
            return False
        self._frame = None
        frame.result()
        return True

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(EVERY_S)
            self._wake.clear()
            try:
                while self.push() and self._frame is not None:
                    wait([self._frame], EVERY_S)
            except Exception as error:
                if self._failed is not None:
                    self._failed("flush", error)
