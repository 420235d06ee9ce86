"""What one worker holds of earlier jobs: which models, and whether anything at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scheduler.states import Job
from worker_agent.gpus import CONTEXT_BYTES
from worker_agent.probe_side import ProbeSide
from worker_agent.services import Services

#: an idle process that was told to let go holds at most this much beside its context
_EMPTY_BYTES: Final = CONTEXT_BYTES + 512 * 2**20
#: a worker that holds at most this much more than when it was empty is empty still
_CLEAN_BYTES: Final = 64 * 2**20
#: models remembered as loaded
_MODELS_KEPT: Final = 8
#: Files of several models are as large as what lies on the device, within this share.
_FILE_SLACK: Final = 1.05


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
        #: these are all that there are
        self._complete = False
        #: device bytes of models, by their files' sizes and what was seen of them
        self._bytes: dict[str, float] = {}
        #: what it held when it was last known to be empty, and in which life that was
        self._base: int | None = None
        self._base_life = 0

    @property
    def is_empty(self) -> bool:
        """It holds no more than a process that has let go of everything."""
        return self._services.book.used(self._worker) <= _EMPTY_BYTES

    @property
    def base_life(self) -> int:
        """The life in which it was last known to be empty."""
        return self._base_life

    def clean_for(self, job: Job) -> bool:
        """Whether a peak measured now is this job's alone. False also where nobody can tell.

        A probe counts from the prompt's begin on, so only models of others spoil it: ComfyUI
        keeps those as long as they do not disturb. Without one, it must hold nothing at all.
        """
        if self._probe.present:
            return self._complete and set(self.models) <= set(job.models)
        if self._base is None or self._base_life != self._life():
            return False
        return self._services.book.used(self._worker) <= self._base + _CLEAN_BYTES

    def ran(self, job: Job) -> None:
        """The job's models are loaded now; others as long as the probe sees as much."""
        order = tuple(dict.fromkeys((*job.models, *self.models)))[:_MODELS_KEPT]
        loaded = self._probe.loaded_bytes
        for model, size in zip(job.models, job.model_bytes, strict=False):
            self._bytes.setdefault(model, size)
        if not loaded:
            self.models = order if loaded is None else ()
            return
        own = sum(self._bytes.get(model, 0) for model in job.models)
        if own and self.clean_for(job):
            # what files become on the device depends on their dtype
            for model in job.models:
                self._bytes[model] = self._bytes.get(model, 0) * loaded / own
            own = loaded
        kept, total = list(job.models), own
        for model in order[len(kept) :]:
            total += self._bytes.get(model, 0)
            if total > loaded * _FILE_SLACK:
                break
            kept.append(model)
        self.models = tuple(kept)

    def gone(self) -> None:
        """Nothing is loaded in a process that is gone."""
        self.models, self._complete = (), False

    def emptied(self) -> None:
        """It was told to let go of everything, or has only just been started."""
        self.models, self._complete = (), self.is_empty
        if self.is_empty:
            self._note_base()

    def born(self) -> None:
        """A process that has just been started is empty: what it holds now is its base."""
        self.models, self._complete = (), True
        self._note_base()

    def _note_base(self) -> None:
        self._base, self._base_life = self._services.book.used(self._worker), self._life()
