"""Small pictures of what nodes hand on, where the agent asked for them."""

from __future__ import annotations

import io
import secrets
import threading
from collections import OrderedDict
from collections import OrderedDict as Ordered
from collections.abc import Callable, Sequence
from queue import Full, Queue
from typing import Any

from .runs import NodeRun
from .settings import Capture

#: pictures that may wait to be made smaller; a node more has none
_WAITING = 16
#: JPEG quality: 256 px take 10 to 20 kB
_QUALITY = 80


class Gallery:
    """Previews by id, within a budget of bytes.

    The thread that runs prompts only takes every n-th pixel of a picture. All else happens in a thread
    of its own, and a picture that finds no room there is not taken.
    """

    def __init__(self, types: Callable[[str], Sequence[str]]) -> None:
        """``types`` gives the output types of a node class."""
        self._types = types
        self._rules: Capture | None = None
        self._bytes = 0
        self._kept: Ordered[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        #: told of already, not made yet
        self._making: set[str] = set()
        self._waiting: Queue[tuple[str, Any, int] | None] = Queue(_WAITING)
        self._failed: Callable[[str, BaseException], None] | None = None
        self._thread = threading.Thread(target=self._work, name="vramgate-capture", daemon=True)

    def start(self, failed: Callable[[str, BaseException], None]) -> None:
        """Begin; ``failed`` is told of what goes wrong here."""
        self._failed = failed
        self._thread.start()

    def stop(self) -> None:
        """Make what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def rule(self, rules: Capture | None) -> None:
        """From now on, other rules; None takes no pictures and forgets those there are."""
        self._rules = rules
        self._shrink()

    def jpeg(self, picture: str) -> bytes | None:
        """The preview of this id, if it is (still) kept."""
        with self._lock:
            return self._kept.get(picture)

    def is_making(self, picture: str) -> bool:
        """Whether the preview of this id is about to be there: a record tells of it before."""
        with self._lock:
            return picture in self._making

    def look(self, run: NodeRun, values: Any) -> None:
        """Take a picture of a node's first image output, in the thread that runs prompts."""
        rules = self._rules
        if rules is None or self._waiting.full():
            return
        types = self._types(run.class_type)
        for index, slot in enumerate(values):
            if index < len(types) and types[index] == "IMAGE" and len(slot) > 0:
                small = _thinned(slot[0], rules.pixels)
                if small is not None:
                    self._offer(run, small, rules.pixels)
                return

    def _offer(self, run: NodeRun, small: Any, pixels: int) -> None:
        picture = secrets.token_urlsafe(16)
        with self._lock:
            self._making.add(picture)
        try:
            self._waiting.put_nowait((picture, small, pixels))
        except Full:
            self._made(picture)
            return
        run.capture = picture

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            if item is None:
                return
            try:
                self._keep(item[0], _encoded(item[1], item[2]))
            except Exception as error:
                if self._failed is not None:
                    self._failed("capture", error)
            finally:
                self._made(item[0])

    def _made(self, picture: str) -> None:
        with self._lock:
            self._making.discard(picture)

    def _keep(self, picture: str, data: bytes) -> None:
        with self._lock:
            self._kept[picture] = data
            self._bytes += len(data)
        self._shrink()

    def _shrink(self) -> None:
        rules = self._rules
        budget = 0 if rules is None else rules.budget_bytes
        with self._lock:
            while self._kept and self._bytes > budget:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def _thinned(image: Any, pixels: int) -> Any:
    """A copy of every n-th pixel of a batch's first picture, at least ``pixels`` wide or high."""
    if getattr(image, "ndim", 0) != 4 or image.shape[0] < 1 or image.shape[3] < 3:
        return None
    step = max(1, max(image.shape[1], image.shape[2]) // (2 * pixels))
    return image[0, ::step, ::step, :3].clone()


def _encoded(small: Any, pixels: int) -> bytes:
    from PIL import Image  # ComfyUI's own dependency; only needed where pictures are asked for

    data = small.float().clamp(0, 1).mul(255).byte().cpu().numpy()
    image = Image.frombytes("RGB", (data.shape[1], data.shape[0]), data.tobytes())
    image.thumbnail((pixels, pixels))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
