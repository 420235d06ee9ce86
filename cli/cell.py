"""What a table on a terminal shows of texts that clients may have chosen."""

from __future__ import annotations

from rich.text import Text


def plain(text: object) -> str:
    """The text on one line, moving no terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def cell(text: object, style: str = "") -> Text:
    """The same as a cell: ids are clients' own, and what is markup to rich is a name to them."""
    return Text(plain(text), style=style)
