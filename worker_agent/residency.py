"""What one worker holds of earlier jobs: which models, and whether anything at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from scheduler.states import Job
from worker_agent.probe_client import Memory
from worker_agent.probe_side import ProbeSide
from worker_agent.services import Services

#: an idle process that was told to let go holds at most this much beside its context
_LEFT_BYTES: Final = 512 * 2**20
#: a worker that holds at most this much more than when it was empty is empty still
_CLEAN_BYTES: Final = 64 * 2**20
#: models remembered as loaded
_MODELS_KEPT: Final = 8
#: A model of which less than this share is left on the device has to be loaded again.
_LOADED_SHARE: Final = 0.5


class Residency:
    """One worker's."""

    def __init__(
        self, services: Services, worker: str, probe: ProbeSide, life: Callable[[], int]
    ) -> None:
        """Know nothing yet.

        Args:
            services: the agent's services.
            worker: its id.
            probe: its probe.
            life: another number after its process was started anew.
        """
        self._services = services
        self._worker = worker
        self._probe = probe
        self._life = life
        #: models believed loaded, most recent first
        self.models: tuple[str, ...] = ()
        #: the most that was seen of a file on the device, bytes
        self._most: dict[str, int] = {}
        #: what it held when it was last known to be empty, and in which life that was
        self._base: int | None = None
        self._base_life = 0

    @property
    def is_empty(self) -> bool:
        """It holds no more than a process that has let go of everything."""
        empty = self._probe.context_bytes + _LEFT_BYTES
        return self._services.book.used(self._worker) <= empty

    @property
    def base_life(self) -> int:
        """The life in which it was last known to be empty."""
        return self._base_life

    def clean_for(self, job: Job) -> bool:
        """Whether a peak measured now is this job's alone. False also where nobody can tell.

        A probe counts from the prompt's begin on, so only models of others spoil it: ComfyUI
        keeps those as long as they do not disturb. Without one, it must hold nothing at all.
        """
        idle = self._probe.idle
        if idle is not None:
            return _on_device(idle).keys() <= set(map(_file, job.models))
        if self._base is None or self._base_life != self._life():
            return False
        return self._services.book.used(self._worker) <= self._base + _CLEAN_BYTES

    def ran(self, job: Job) -> None:
        """The job's models are loaded now; others as long as the probe sees them."""
        order = tuple(dict.fromkeys((*job.models, *self.models)))[:_MODELS_KEPT]
        idle = self._probe.idle
        self.models = order if idle is None else self._seen(order, _on_device(idle))

    def _seen(self, order: tuple[str, ...], there: Counter[str]) -> tuple[str, ...]:
        for name, bytes_ in there.items():
            self._most[name] = max(bytes_, self._most.get(name, 0))
        # of some loaders' models nobody knows the file: they are told by their class
        nameless = there.keys() - set(map(_file, order))
        return tuple(
            model
            for model in order
            if there[_file(model)] > _LOADED_SHARE * self._most.get(_file(model), 0)
            or (nameless and _file(model) not in self._most)
        )

    def gone(self) -> None:
        """Nothing is loaded in a process that is gone."""
        self.models = ()

    def emptied(self) -> None:
        """It was told to let go of everything."""
        self.models = ()
        if self.is_empty:
            self.born()

    def born(self) -> None:
        """A process that has just been started is empty: what it holds now is its base."""
        self._base, self._base_life = self._services.book.used(self._worker), self._life()


def _on_device(memory: Memory) -> Counter[str]:
    """Bytes on the device by file, or by class where nobody knows the file."""
    found: Counter[str] = Counter()
    for model in memory.models:
        if model.loaded_bytes > 0:
            for name in model.name.split("+"):
                found[name] += model.loaded_bytes
    return found


def _file(model: str) -> str:
    """``checkpoints/sub/a.safetensors`` as the probe names it: ``sub/a.safetensors``."""
    return model.partition("/")[2]
