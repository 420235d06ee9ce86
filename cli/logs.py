"""Where log lines go: stderr, as JSON for machines and in colours for people.

Everything goes through the standard library's handlers: they survive a reader
that went away, so a role still settles its books after its supervisor died.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import structlog

from config.settings import Log

#: Libraries whose own chatter is of use only while debugging them.
_QUIET = ("aiohttp.access", "alembic", "aiosqlite", "asyncio", "sqlalchemy", "rq")


def set_up_logging(settings: Log, role: str, handler: logging.Handler | None = None) -> None:
    """Route structlog and the standard library to stderr, or to another handler."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = handler or logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_unquote)
    # its warnings quote what clients send, line breaks and all
    warnings.filterwarnings("ignore", module=r"aiohttp\.")
    structlog.contextvars.bind_contextvars(role=role)


def quiet_logging() -> None:
    """What a command says in passing goes to stderr, and only what is wrong: stdout is its answer."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _unquote(record: logging.LogRecord) -> bool:
    """Tell of a malformed request without quoting it: the line at fault may hold a key."""
    error = record.exc_info[1] if record.exc_info else None
    # by name: most commands have no other need of aiohttp, which takes long to import
    if not type(error).__module__.startswith("aiohttp."):
        return True
    record.msg, record.args = "malformed_request %s", (type(error).__name__,)
    record.exc_info = None
    record.levelno, record.levelname = logging.INFO, "INFO"
    return logging.getLogger().isEnabledFor(logging.INFO)


def _rendering(settings: Log) -> list[Any]:
    as_console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    if as_console:
        # local variables hold keys and prompts: neither format shows them
        plain = structlog.dev.RichTracebackFormatter(show_locals=False)
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
