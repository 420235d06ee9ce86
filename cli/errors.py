"""What a command says when it cannot do what it was asked for.

CliError      one sentence and what to do next; exit code 1
└ UsageError  the command line asks for something that cannot be; exit code 2
"""

from __future__ import annotations

from typing import ClassVar


class CliError(Exception):
    """The message is all that the person at the terminal sees: say what to do next."""

    exit_code: ClassVar[int] = 1


class UsageError(CliError):
    """The options do not fit together."""

    exit_code: ClassVar[int] = 2
