"""What admins may do from the dashboard, as tests hand it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.settings import Settings
from dashboard.operations import NotDone, Operations


@dataclass
class Done:
    """Remembers what was asked for."""

    base: Callable[[], Settings]
    #: worker → its log
    logs: dict[str, str] = field(default_factory=dict)
    #: user, who asked
    forgotten: list[tuple[str, str]] = field(default_factory=list)
    #: why nobody can be forgotten; "": everybody can
    busy: str = ""
    origins: dict[str, str] = field(default_factory=dict)

    def operations(self) -> Operations:
        return Operations(
            base=self.base,
            origin=lambda path: self.origins.get(path, ""),
            worker_log=self._log,
            forget=self._forget,
        )

    async def _log(self, worker: str, lines: int) -> str:
        if worker not in self.logs:
            raise NotDone(f"the host of {worker} does not answer: is its agent running?")
        return "\n".join(self.logs[worker].splitlines()[-lines:])

    async def _forget(self, user: str, by: str) -> Mapping[str, int]:
        if self.busy:
            raise NotDone(self.busy)
        self.forgotten.append((user, by))
        return {"jobs": 3}
