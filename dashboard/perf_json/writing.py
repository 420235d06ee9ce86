"""Writes a recording as ``.perf.json``, entry by entry; one line each, so that a diff shows them."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from dashboard.perf_json.recording import Head
from dashboard.perf_json.shapes import FORMAT, LISTS, VERSION, Entry

_encode: Final = msgspec.json.Encoder().encode


class Encoder(Protocol):
    """Makes a file of a head and entries, in the order of their lists."""

    def begin(self, head: Head) -> bytes:
        """What comes first."""

    def add(self, entry: Entry) -> bytes:
        """One more."""

    def end(self) -> bytes:
        """What comes last."""


class PerfJson:
    """The format itself."""

    def __init__(self) -> None:
        self._list = ""
        self._done: set[str] = set()

    def begin(self, head: Head) -> bytes:
        """What the file is."""
        return b'{"format":"%s","version":"%s",\n"about":%s,\n"span":%s' % (
            FORMAT.encode(),
            VERSION.encode(),
            _encode(head.about),
            _encode(head.span),
        )

    def add(self, entry: Entry) -> bytes:
        """One entry.

        Raises:
            ValueError: its list was closed already.
        """
        name = LISTS[type(entry)]
        if name == self._list:
            return b",\n" + _encode(entry)
        if name in self._done:
            raise ValueError(f"an entry of {name} comes after that list was closed")
        closed = b"]" if self._list else b""
        self._list = name
        self._done.add(name)
        return closed + b',\n"%s":[\n' % name.encode() + _encode(entry)

    def end(self) -> bytes:
        """The last bracket."""
        return (b"]" if self._list else b"") + b"}\n"
