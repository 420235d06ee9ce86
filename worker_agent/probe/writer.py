"""The thread that makes records of notes, so that the thread that runs prompts need not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from .records import Names, Record, gap_record, node_record, prompt_record
from .redact import Redactor
from .ring import Ring
from .settings import Redaction

#: notes that may wait; more are counted and let go
MOST = 65_536
#: seconds between two looks: woken for each note, this thread would fight the prompts' for the GIL
LOOK_S = 0.2

Listener = Callable[[Record], None]


class Writer:
    """Takes notes from any thread, and puts records into the ring.

    Attributes:
        listeners: called with each record, in this thread.
    """

    def __init__(self, ring: Ring, names: Names, redact: Redaction, token: str | None) -> None:
        self.listeners: list[Listener] = []
        self._ring = ring
        self._names = names
        self._token = token
        self._redactor = Redactor(redact, token)
        self._notes: SimpleQueue[tuple[str, Any, Any]] = SimpleQueue()
        self._lost = 0
        self._draining = threading.Lock()
        self._failed: Callable[[str, BaseException], None] = _ignore
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="vramgate-writer", daemon=True)

    def start(self, failed: Callable[[str, BaseException], None]) -> None:
        """Begin; ``failed`` is told of what goes wrong here."""
        self._failed = failed
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        self._thread.join()

    def redact(self, rules: Redaction) -> None:
        """From now on, other rules."""
        self._redactor = Redactor(rules, self._token)

    def put(self, kind: str, subject: Any, part: Any) -> None:
        """Note something; never blocks."""
        if self._notes.qsize() >= MOST:
            self._lost += 1
            return
        self._notes.put((kind, subject, part))

    def tell(self, record: Record) -> None:
        """Note a record that is already made."""
        self.put("record", record, None)

    def drain(self) -> int:
        """Make records of all that waits; how many. From any thread."""
        with self._draining:
            return self._drain()

    def _drain(self) -> int:
        done = 0
        while True:
            try:
                kind, subject, part = self._notes.get_nowait()
            except Empty:
                break
            done += 1
            try:
                self._add(self._made(kind, subject, part))
            except Exception as error:
                self._failed("record of a " + kind, error)
        if self._lost:
            lost, self._lost = self._lost, 0
            self._add(gap_record(lost))
        return done

    def _made(self, kind: str, subject: Any, part: Any) -> Record:
        if kind == "node":
            return node_record(part, subject, self._names, self._redactor)
        if kind == "prompt":
            return prompt_record(subject)
        return dict(subject)

    def _add(self, record: Record) -> None:
        self._ring.add(record)
        for listener in self.listeners:
            listener(record)

    def _work(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.drain()
        self.drain()


def _ignore(where: str, error: BaseException) -> None:
    del where, error
