"""What quiet hours are worth: curves filled by trials, what that costs, and what it gains when it gets busy.

Seven workflows run as batch jobs, one now and then, on one modelled GPU of 24 GiB with
workers that keep to their limit; each hour goes on with what the hours before taught. Then the
mix of 36 jobs is posted at once. The same with trials and without.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from bench.measured import MeasuredRun
from config.settings import Settings
from scheduler.curve import is_known
from scheduler.decisions import Admit, Plan
from scheduler.estimate import Estimate, estimate
from scheduler.exploration import Exploration
from scheduler.guess import CONTEXT_BYTES
from scheduler.lesson import Place, lesson
from scheduler.plan_config import PlanConfig
from scheduler.policy import plan
from scheduler.profile import Profile
from scheduler.states import TERMINAL, Lane, MemoryLimit, NewJob, Snapshot
from scheduler.workflow.features import Features, features
from simulator.mix.baselines import work_of
from simulator.mix.cases import Case, load_facts
from simulator.mix.production import USERS
from simulator.mix.shared_gpu import SharedGpu, step_within
from simulator.world.draft import Draft
from simulator.world.planner import Policy
from simulator.world.world import World

_GPU_BYTES: Final = 24 * 2**30
_HOUR_MS: Final = 3_600_000
_PLACE: Final = Place(_GPU_BYTES, _GPU_BYTES, limited=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One course of hours."""

    trials: int
    #: of all steps of the seven curves, the share that runs have shown
    known: float
    #: median error of the steps' run times, and the largest
    error: float
    worst: float
    #: run time of the quiet hours' jobs, all together
    quiet_seconds: float
    #: the mix of 36, once through with what was learned
    busy_seconds: float


class School:
    """Profiles, and the plan that learns them: the production plan with trials in its config."""

    def __init__(self, cases: Mapping[str, Case], daily: int) -> None:
        self._cases = cases
        self._daily = daily
        self._kinds = {name: _features(case) for name, case in cases.items()}
        self._exploration = Exploration()
        self._profiles: dict[str, Profile | None] = {}
        self._open: set[str] = set()
        self.trials = 0
        self.world: World | None = None

    def estimate(self, name: str) -> Estimate:
        """What a job of this case would be booked with now."""
        kind = self._kinds[name]
        known = [self._profiles.get(one) for one in (kind.fingerprint, *kind.parents)]
        return estimate(kind, known)

    @property
    def names(self) -> list[str]:
        """Of its cases."""
        return sorted(self._cases)

    def draft(self, name: str, job_id: str, lane: Lane, number: int, at: float) -> Draft:
        """The ``number``-th job, of this case, as the gateway would submit it ``at`` seconds."""
        kind, booked = self._kinds[name], self.estimate(name)
        job = NewJob(
            id=job_id,
            user=f"user-{number % USERS}",
            group="everybody",
            prompt_id=job_id,
            client_id=None,
            lane=lane,
            front=False,
            fingerprint=kind.fingerprint,
            parents=kind.parents,
            models=kind.models,
            model_bytes=kind.model_bytes,
            need_bytes=booked.bytes,
            need_seconds=booked.seconds,
            late_seconds=booked.late_seconds,
            load_seconds=booked.load_seconds,
            curve=booked.curve,
            guess=booked.guess,
            needs_gpu=True,
        )
        return Draft(at=at, job=job, work=work_of(self._cases[name], job_id), small=False)

    def plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        """Learn from what has ended, and plan."""
        self.learn(now_ms)
        jobs = self._exploration.wanted(snapshot, self._daily)
        offered = self._exploration.trials(jobs, self._profiles)
        made = plan(snapshot, now_ms, replace(config, trials=offered))
        for decision in made.decisions:
            if isinstance(decision, Admit):
                self._open.add(decision.job.id)
                if decision.grant.trial:
                    self.trials += 1
                    self._exploration.begun(decision.job, now_ms)
        return made

    def learn(self, now_ms: int) -> None:
        """Take in the jobs that have ended since."""
        assert self.world is not None
        ids = sorted(self._open)
        for job in self.world.books.jobs(ids):
            if job is not None and job.state in TERMINAL:
                self._open.discard(job.id)
                self._profiles |= lesson(replace(job, clean=True), self._profiles, now_ms, _PLACE)

    def run(self, drafts: Sequence[Draft], workers: int, epoch_ms: int) -> World:
        """Let a world go by."""
        gpu = SharedGpu(
            self._cases,
            total_bytes=_GPU_BYTES,
            workers=workers,
            context_bytes=CONTEXT_BYTES,
            limit=MemoryLimit.TOLD,
        )
        rules = Settings().scheduler.model_copy(update={"heartbeat": 1e9})
        self.world = World(
            drafts=drafts,
            machine=gpu,
            policy=Policy(name="learning", plan=self.plan, window=rules.window, again=False),
            settings=Settings().model_copy(update={"scheduler": rules}),
            epoch_ms=epoch_ms,
        )
        self.world.run()
        self.learn(epoch_ms + int(self.world.now * 1000))
        return self.world

    def steps(self) -> list[tuple[bool, float]]:
        """Of each step of each curve: whether runs have shown it, and how wrong its time is."""
        found = []
        for name, case in self._cases.items():
            booked = self.estimate(name)
            profile = self._profiles.get(self._kinds[name].fingerprint) or Profile()
            for step in booked.curve:
                known = is_known(profile.slowdowns, step.bytes, booked.guess.bytes)
                _, stretch = step_within(case, step.bytes, CONTEXT_BYTES)
                found.append((known, abs(step.seconds / (case.run_seconds * stretch) - 1)))
        return found


def _features(case: Case) -> Features:
    checkpoint, width, height, batch, steps = case.name.split("-")
    run = MeasuredRun(
        case=case.name,
        checkpoint=checkpoint,
        width=int(width),
        height=int(height),
        batch=int(batch),
        steps=int(steps),
        seconds=case.run_seconds,
        peak_bytes=case.need_bytes,
        cold=False,
        limit_bytes=None,
    )
    return features(run.graph(), sizes={case.model.name: case.model.bytes})


def _cases() -> dict[str, Case]:
    """As recorded, with the context that a process has by the driver's own figures."""
    facts = load_facts()
    less = facts.context_bytes - CONTEXT_BYTES
    return {
        name: replace(
            case,
            need_bytes=case.need_bytes - less,
            curve=tuple(replace(step, bytes=step.bytes - less) for step in case.curve),
        )
        for name, case in facts.cases.items()
    }


def course(*, daily: int, hours: int, workers: int, seed: int) -> Found:
    """Quiet hours, then a busy one.

    Args:
        daily: trials of one kind a day; 0: none.
        hours: quiet ones before.
        workers: processes on the GPU.
        seed: draws when which workflow comes.
    """
    school, rng = School(_cases(), daily), random.Random(seed)
    quiet = 0.0
    for hour in range(hours):
        world = school.run(_hour(school, hour, rng), workers, (hour + 1) * _HOUR_MS)
        figures = world.recorder.figures(workers)
        quiet += figures.busy_share * figures.makespan_s * workers
    steps, trials = school.steps(), school.trials
    busy = school.run(_mix(school), workers, (hours + 1) * _HOUR_MS)
    return Found(
        trials=trials,
        known=statistics.fmean(known for known, _ in steps),
        error=statistics.median(error for _, error in steps),
        worst=max(error for _, error in steps),
        quiet_seconds=quiet,
        busy_seconds=busy.now,
    )


def _hour(school: School, hour: int, rng: random.Random) -> list[Draft]:
    """Each workflow twice, as batch jobs, one about every 40 s."""
    names = rng.sample(school.names, len(school.names)) * 2
    return [
        school.draft(
            name, f"h{hour}-{number}", Lane.BATCH, number, 40.0 * number + rng.uniform(0, 20)
        )
        for number, name in enumerate(names)
    ]


def _mix(school: School) -> list[Draft]:
    """The measured mix, all at once."""
    order = load_facts().order
    return [
        school.draft(name, f"mix-{number:02}", Lane.INTERACTIVE, number, 0.0)
        for number, name in enumerate(order)
    ]


def main() -> None:
    """Print both courses, means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=96, help="quiet hours before the busy one")
    parser.add_argument("--workers", type=int, default=3, help="processes on the GPU")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--daily", type=int, default=Settings().scheduler.explore, help="trials of a kind a day"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    told = {name: _mean(options, n) for name, n in (("without", 0), ("with", options.daily))}
    print(json.dumps(told) if options.json else table(told))


def _mean(options: argparse.Namespace, daily: int) -> dict[str, float]:
    rows = [
        asdict(course(daily=daily, hours=options.hours, workers=options.workers, seed=seed))
        for seed in range(options.seeds)
    ]
    return {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}


def table(told: Mapping[str, Mapping[str, float]]) -> str:
    """The courses for people."""
    lines = [
        f"{'trials':8} {'n':>5} {'known':>6} {'error':>6} {'worst':>6} {'quiet s':>9} {'busy s':>7}"
    ]
    lines += [
        f"{name:8} {row['trials']:5.0f} {row['known']:6.0%} {row['error']:6.0%} "
        f"{row['worst']:6.0%} {row['quiet_seconds']:9.1f} {row['busy_seconds']:7.1f}"
        for name, row in told.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
