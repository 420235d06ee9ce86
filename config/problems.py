"""What is wrong with a configuration, all of it at once, each with its place and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``where`` is ``file:line``, an environment variable or an option."""

    where: str
    #: dotted path of the setting, "" where the whole text is at fault
    path: str
    message: str

    def __str__(self) -> str:
        """One line for a terminal or a log."""
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` says why, nothing of it is in force."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant (capitals aside), or None; ``cutoff`` is 0 to 1."""
    by_lower = {choice.lower(): choice for choice in known}
    close = difflib.get_close_matches(word.lower(), sorted(by_lower), n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to append to "unknown": the closest known word, or all of them where none is close."""
    choices = sorted(known)
    close = closest(word, choices)
    if close is not None:
        return f"; did you mean `{close}`?"
    return f"; known here: {', '.join(choices)}" if choices else ""
