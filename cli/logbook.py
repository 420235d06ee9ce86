"""What children write: all of it into files, what matters onto the terminal."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from logging import Formatter, Handler, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

_FILE_BYTES: Final = 10 * 2**20
_FILES_KEPT: Final = 3
_TAIL_LINES: Final = 12
_SEVERITY: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
#: fields told elsewhere on the line, or of no use on a terminal
_NOT_SHOWN: Final = frozenset({"event", "level", "timestamp", "logger", "role"})
#: Each role reads the config file for itself and says so; on a terminal once is enough.
_SAID_BY_ALL: Final = frozenset({"config_refused", "config_needs_restart", "config_reloaded"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LogBook:
    """Takes the children's lines.

    Args:
        folder: gets ``<service>.log``, rotated.
        shown: least severity (``info``, ``warning``, …) that is also shown.
        show: puts one line onto the terminal.
    """

    def __init__(self, folder: Path, shown: str, show: Callable[[str], None]) -> None:
        self._folder = folder
        self._shown = _SEVERITY[shown]
        self._show = show
        self._files: dict[str, RotatingFileHandler] = {}
        self._tails: dict[str, deque[str]] = {}
        #: what the roles say alike → who has said it since it was shown
        self._said: dict[str, set[str]] = {}

    def note(self, service: str, raw: bytes) -> None:
        """One line for the file alone."""
        self._file(service).emit(_record(raw.decode(errors="replace").rstrip()))

    def line(self, service: str, raw: bytes) -> None:
        """One line as the child wrote it: JSON from our roles, anything from a crash."""
        text = raw.decode(errors="replace").rstrip()
        if not text:
            return
        self._file(service).emit(_record(text))
        severity, event, words = _read(text)
        if severity >= _SEVERITY["warning"]:
            self._tails.setdefault(service, deque(maxlen=_TAIL_LINES)).append(words)
        if severity >= self._shown and not self._is_echo(service, event, words):
            self._show(f"{service:9} | {words}")

    def tail(self, service: str) -> str:
        """The last that the service complained of, one line each."""
        return "\n".join(self._tails.get(service, ()))

    def path(self, service: str) -> Path:
        """The service's file."""
        return self._folder / f"{service}.log"

    def close(self) -> None:
        """Close all files."""
        for handler in self._files.values():
            handler.close()
        self._files.clear()

    def _is_echo(self, service: str, event: str, words: str) -> bool:
        """Whether another role's line has shown this already; the same role again means it anew."""
        if event not in _SAID_BY_ALL:
            return False
        speakers = self._said.setdefault(words, set())
        echo = bool(speakers) and service not in speakers
        if not echo:
            speakers.clear()
        speakers.add(service)
        return echo

    def _file(self, service: str) -> RotatingFileHandler:
        if service not in self._files:
            self._folder.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(
                self.path(service), maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
            )
            handler.setFormatter(Formatter("%(message)s"))
            self._files[service] = handler
        return self._files[service]


class BookHandler(Handler):
    """The supervisor's own lines, beside those of its children."""

    def __init__(self, book: LogBook, name: str) -> None:
        super().__init__()
        self._book = book
        self._service = name

    def emit(self, record: LogRecord) -> None:
        """Add one line."""
        self._book.line(self._service, self.format(record).encode())


def _record(text: str) -> LogRecord:
    return LogRecord("", 0, "", 0, text, None, None)


def _read(text: str) -> tuple[int, str, str]:
    """Severity, event and the line for people. What is no JSON is a crash speaking: a warning."""
    try:
        fields: Any = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or "event" not in fields:
        return _SEVERITY["warning"], "", _CONTROL.sub("", text)
    level = str(fields.get("level", "info"))
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _NOT_SHOWN)
    words = f"{level:8}{fields['event']} {rest}".rstrip()
    shown = _CONTROL.sub("", words.replace("\n", "\n  "))
    return _SEVERITY.get(level, 20), str(fields["event"]), shown
