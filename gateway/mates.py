"""Who shares what with whom: members of one group, as the settings now in force say it.

What a mate shares has the mate's name in front: ``@mia/shots/x_00001_.png``. No folder of a
user's own outputs begins with that sign (``scheduler.bookkeeping.own_top``), so a name means
one file, whoever shares what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from config.settings import Settings
from gateway.names import FileName
from scheduler.bookkeeping import RESERVED

#: what is shared of files: never temporary ones, uploads into the input folder, documents
_TYPE: Final = "output"


@dataclass(frozen=True, slots=True)
class _Team:
    """A group that shares something."""

    members: tuple[str, ...]
    outputs: bool
    queue: bool


class Mates:
    """Tells a user's mates. Only users whom settings or an admin's overrides name are any.

    Args:
        settings: the settings now in force; the same object as long as they are the same.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._made_of: Settings | None = None
        self._teams: dict[str, _Team] = {}

    def outputs(self, user: str) -> tuple[str, ...]:
        """Whose outputs the user may see, besides its own."""
        team = self._team(user)
        return _others(team, user) if team is not None and team.outputs else ()

    def queue(self, user: str) -> tuple[str, ...]:
        """Whose jobs the user may see, besides its own."""
        team = self._team(user)
        return _others(team, user) if team is not None and team.queue else ()

    def owner(self, user: str, named: FileName) -> tuple[str, FileName]:
        """Whose file this user means, and how its owner calls it.

        A name that nobody shares with the user stays as it is: the user has no such file.
        """
        if named.type != _TYPE or not named.subfolder.startswith(RESERVED):
            return user, named
        top, _, rest = named.subfolder.partition("/")
        mate = top.removeprefix(RESERVED)
        if mate not in self.outputs(user):
            return user, named
        return mate, FileName(named.type, rest, named.filename)

    def _team(self, user: str) -> _Team | None:
        settings = self._settings()
        if self._made_of is not settings:
            self._teams, self._made_of = _teams(settings), settings
        return self._teams.get(user)


def folder_of(owner: str, subfolder: str) -> str:
    """The folder in which mates see what lies in this one of the owner's."""
    return f"{RESERVED}{owner}/{subfolder}" if subfolder else f"{RESERVED}{owner}"


def _teams(settings: Settings) -> dict[str, _Team]:
    found: dict[str, _Team] = {}
    for group in settings.groups:
        if group.share_outputs or group.share_queue:
            members = tuple(user.name for user in settings.users if user.group == group.name)
            team = _Team(members, group.share_outputs, group.share_queue)
            found |= dict.fromkeys(members, team)
    return found


def _others(team: _Team, user: str) -> tuple[str, ...]:
    return tuple(name for name in team.members if name != user)
