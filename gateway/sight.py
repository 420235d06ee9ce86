"""What of the pool's nodes and models a user may see: the workers it may use, less what is denied."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from config.settings import Settings
from gateway.context import Identity
from gateway.denied import Patterns, patterns
from scheduler.ledger import Pool
from scheduler.states import Worker


@dataclass(frozen=True, slots=True)
class Sight:
    """The same for all users of the same limits, so that what is made for one serves others."""

    #: patterns of workers, agents, GPUs; a worker must match one of each
    workers: tuple[tuple[str, ...], ...] = ()
    denied: Patterns = ()

    def includes(self, worker: Worker, pool: Pool) -> bool:
        """Whether a worker may be used (as ``scheduler.caps`` judges it)."""
        gpu = pool.gpus.get(worker.gpu)
        names = [worker.id, worker.agent, *((gpu.id, gpu.name) if gpu is not None else ())]
        return all(
            any(fnmatchcase(name, pattern) for pattern in group for name in names)
            for group in self.workers
        )


EVERYTHING: Final = Sight()


def sight_of(settings: Settings, who: Identity) -> Sight:
    """What this user may see."""
    user, group = settings.user(who.user), settings.group(who.group)
    limits = (user.workers if user is not None else (), group.workers)
    return Sight(tuple(limit for limit in limits if limit), patterns(settings, who.role, who.group))
