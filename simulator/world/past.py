"""A pool's own history once more, with and without the rhythm of its weeks.

The same requests come at the same times to GPUs of the same sizes, under the
production plan; only what the plan knows of the week differs. The table is learned
from what lies before, as it would have been then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from config.settings import RhythmMode, Scheduler, Settings
from scheduler.rhythm import Rhythm
from scheduler.states import Lane, NewJob
from simulator.world.draft import Draft
from simulator.world.machine import Work
from simulator.world.metrics import Figures
from simulator.world.nodes import Node
from simulator.world.policies import PRODUCTION, policies
from simulator.world.run import ever_heard
from simulator.world.simple_machine import SimpleMachine
from simulator.world.world import World
from store.records import PastRequest

#: a job whose need was not recorded needs what an SDXL picture does, as measured
_UNKNOWN_BYTES: Final = 8 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How jobs of history fared."""

    interactive_wait_s: float
    batch_wait_s: float
    #: share of attempts that found all their models loaded
    warm_hit: float
    failed: int


def replay(
    requests: Sequence[PastRequest],
    nodes: Sequence[Node],
    workers_per_gpu: int,
    rules: Scheduler,
    rhythm: Rhythm | None,
    tell: Callable[[int], None] = lambda ended: None,
) -> Outcome:
    """Run history once more.

    Args:
        requests: oldest first, at least one.
        nodes: the GPUs.
        workers_per_gpu: how many share each.
        rules: the scheduler's settings; ``rhythm`` is turned on or off as there is a table.
        rhythm: the table that the plan goes by; None: it goes by none.
        tell: hears now and then how many more jobs ended.

    Raises:
        WorldError: some jobs never end on these GPUs.
    """
    first_ms = requests[0].submitted_ms
    most_bytes = _most_bytes(nodes)
    world = World(
        drafts=[draft_of(n, one, first_ms, most_bytes) for n, one in enumerate(requests)],
        machine=SimpleMachine(nodes, workers_per_gpu),
        policy=policies()[PRODUCTION](),
        settings=_settings(rules, RhythmMode.OFF if rhythm is None else RhythmMode.ON),
        tell=tell,
        epoch_ms=first_ms,
        rhythm=rhythm,
    )
    world.run()
    interactive = sum(one.lane is Lane.INTERACTIVE for one in requests)
    return _outcome(world.recorder.figures(len(nodes) * workers_per_gpu), interactive)


def _outcome(figures: Figures, interactive: int) -> Outcome:
    # drafts of the interactive lane are marked as small, so their waits have a mean of their own
    others = figures.jobs - figures.failed - interactive
    waited = figures.mean_wait_s * (figures.jobs - figures.failed)
    batch = max(0.0, waited - figures.small_tenant_wait_s * interactive)
    return Outcome(
        interactive_wait_s=figures.small_tenant_wait_s,
        batch_wait_s=batch / others if others > 0 else 0.0,
        warm_hit=figures.warm_hit,
        failed=figures.failed,
    )


def _settings(rules: Scheduler, mode: RhythmMode) -> Settings:
    heard = ever_heard()
    heartbeat = heard.scheduler.heartbeat
    changed = rules.model_copy(update={"rhythm": mode, "heartbeat": heartbeat})
    return heard.model_copy(update={"scheduler": changed})


def _most_bytes(nodes: Sequence[Node]) -> int:
    """What the smallest card can promise."""
    least = min(node.vram_bytes for node in nodes)
    rules = Settings().admission
    return least - max(rules.safety_min, int(rules.safety_share * least))


def draft_of(number: int, request: PastRequest, first_ms: int, most_bytes: int) -> Draft:
    """The same request to a world that begins at ``first_ms``; needs at most ``most_bytes``.

    Its estimate of time is what the run took.
    """
    job_id = f"j{number:08}"
    need = min(request.need_bytes or _UNKNOWN_BYTES, most_bytes)
    models = (request.model,) if request.model else ()
    sizes = (min(request.model_bytes, need),) if models else ()
    load = request.load_seconds if models else 0.0
    return Draft(
        at=(request.submitted_ms - first_ms) / 1000,
        job=NewJob(
            id=job_id,
            user=request.user,
            group=request.group,
            prompt_id=job_id,
            client_id=None,
            lane=request.lane,
            front=False,
            fingerprint=request.model,
            models=models,
            need_bytes=need,
            need_seconds=request.run_seconds,
            needs_gpu=True,
            model_bytes=sizes,
            load_seconds=load,
            late_seconds=request.run_seconds,
        ),
        work=Work(
            job=job_id,
            attempt=0,
            kind=request.model,
            models=models,
            model_bytes=sizes,
            peak_bytes=need,
            run_seconds=request.run_seconds,
            load_seconds=load,
        ),
        small=request.lane is Lane.INTERACTIVE,
    )
