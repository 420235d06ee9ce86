"""The mix under the production plan: its ledger's books, its policy, on the shared GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from config.settings import Settings
from scheduler.states import Lane, NewJob, Step
from simulator.mix.baselines import work_of
from simulator.mix.cases import Case
from simulator.mix.shared_gpu import SharedGpu
from simulator.world.draft import Draft
from simulator.world.policies import PRODUCTION, policies
from simulator.world.world import World

#: the jobs are six users', in turn
USERS: Final = 6
#: the machine reports what changed, when it changes; silence means nothing there
_NEVER_S: Final = 1e9


def drafts(
    jobs: Sequence[Case], *, apart_seconds: float = 0.0, estimates: float = 1.0
) -> list[Draft]:
    """The jobs, the i-th by user ``i mod 6``.

    Args:
        jobs: in the order in which they are posted.
        apart_seconds: between one and the next; 0: all at once.
        estimates: what is believed of their seconds, relative to what was measured alone.
    """
    return [_draft(n, case, n * apart_seconds, estimates) for n, case in enumerate(jobs)]


def _draft(number: int, case: Case, at: float, estimates: float) -> Draft:
    name = f"job-{number:03}"
    job = NewJob(
        id=name,
        user=f"user-{number % USERS}",
        group="everybody",
        prompt_id=name,
        client_id=None,
        lane=Lane.INTERACTIVE,
        front=False,
        fingerprint=case.name,
        models=(case.model.name,),
        need_bytes=case.need_bytes,
        need_seconds=case.run_seconds * estimates,
        needs_gpu=True,
        model_bytes=(case.model.bytes,),
        load_seconds=case.model.cold_seconds,
        late_seconds=case.run_seconds * estimates,
        curve=tuple(Step(step.bytes, step.seconds * estimates) for step in case.curve),
    )
    return Draft(at=at, job=job, work=work_of(case, name), small=False)


def run_production(gpu: SharedGpu, jobs: Sequence[Draft]) -> World:
    """Run them all and return the world, at its end.

    Raises:
        WorldError: the plan leaves some waiting for ever.
    """
    defaults = Settings()
    rules = defaults.scheduler.model_copy(update={"heartbeat": _NEVER_S})
    world = World(
        drafts=jobs,
        machine=gpu,
        policy=policies()[PRODUCTION](),
        settings=defaults.model_copy(update={"scheduler": rules}),
    )
    world.run()
    return world
