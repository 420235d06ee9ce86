"""What admins may do from the dashboard, as ``cli`` hands it in: the dashboard reaches no agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from config.settings import Settings


class NotDone(Exception):
    """It could not be done; the message says what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """See the module."""

    #: the settings of the file alone
    base: Callable[[], Settings]
    #: where the file (or the environment) says a setting, by its edit's path; "": nowhere
    origin: Callable[[str], str]
    #: the last lines of a worker's log: worker, how many. Raises NotDone.
    worker_log: Callable[[str, int], Awaitable[str]]
    #: removes all that is known of a user: the user, who asks. Raises NotDone.
    forget: Callable[[str, str], Awaitable[Mapping[str, int]]]
