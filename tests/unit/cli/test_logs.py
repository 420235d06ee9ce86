"""What may not reach a log line."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine
from aiohttp.multipart import parse_content_disposition

from cli.logs import set_up_logging
from config.settings import Log


@pytest.fixture(params=["json"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    server = logging.getLogger("aiohttp.server")
    before, level, filters = root.handlers[:], root.level, server.filters[:]
    written = io.StringIO()
    set_up_logging(Log(format=request.param), "gateway", logging.StreamHandler(written))
    yield written
    root.handlers[:], server.filters[:] = before, filters
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_malformed_request_is_told_without_the_key_in_it(lines: io.StringIO) -> None:
    error = BadStatusLine("GET /?token=secret HTTPX")
    logging.getLogger("aiohttp.server").error("Error handling request", exc_info=error)
    assert "malformed_request BadStatusLine" in lines.getvalue()
    assert "secret" not in lines.getvalue()
    assert "Traceback" not in lines.getvalue()


def test_what_a_client_calls_its_file_is_no_warning(lines: io.StringIO) -> None:
    with warnings.catch_warnings(record=True) as told:
        set_up_logging(Log(), "gateway", logging.StreamHandler(lines))
        parse_content_disposition('form-data; filename="a')
    assert told == []


def test_other_errors_keep_their_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError("ours")
    except ValueError as error:
        logging.getLogger("aiohttp.server").error("Unhandled exception", exc_info=error)
    assert "ValueError: ours" in lines.getvalue()


@pytest.mark.parametrize("lines", ["json", "console"], indirect=True)
def test_an_exception_does_not_show_the_key_that_was_in_a_variable(lines: io.StringIO) -> None:
    def let_in(key: str) -> None:
        raise ValueError("no such user")

    try:
        let_in("-".join(["a", "key", "in", "a", "local"]))
    except ValueError:
        logging.getLogger("anything").exception("failed")
        structlog.get_logger().exception("failed")
    assert lines.getvalue().count("no such user") >= 2
    assert "a-key-in-a-local" not in lines.getvalue()
