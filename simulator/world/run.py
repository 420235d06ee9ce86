"""Whole simulations: a setup, its seeds, and what they showed together."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Final

from config.settings import Settings
from scheduler.decisions import Plan
from scheduler.plan_config import PlanConfig
from scheduler.states import Snapshot
from simulator.world.draft import draft_jobs
from simulator.world.faults import FaultSpec, draw_faults
from simulator.world.metrics import Figures
from simulator.world.nodes import Node, alike, read_nodes
from simulator.world.planner import Policy
from simulator.world.policies import policies
from simulator.world.simple_machine import SimpleMachine
from simulator.world.traces import Request, read_load_times, read_trace
from simulator.world.workload import Workload, superpose
from simulator.world.world import World

#: agents of a world report what changed, when it changes; silence means nothing there
_NEVER_S: Final = 1e9
#: a file of measured load times is looked for beside the trace by this pattern
_LOAD_TIMES: Final = "*basemodel_load*.csv*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is simulated; every seed draws phases, sizes, load times and faults anew."""

    trace: Path
    gpus: int
    vram_bytes: int
    load: float
    #: None: a sibling of the trace, else built-in quantiles
    load_times: Path | None = None
    workers_per_gpu: int = 1
    #: node list; None: hosts of one GPU each
    nodes: Path | None = None
    faults: FaultSpec = field(default_factory=FaultSpec)
    #: rows of the trace that are used; None: all
    limit: int | None = None
    #: copies of the trace; None: by the size of the pool, 0: as its own clock needs
    copies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One seed of one policy."""

    policy: str
    seed: int
    figures: Figures
    #: admissions that the books refused
    refused: int
    #: bytes by which a GPU was ever over-committed
    overcommit_bytes: int
    plans: int
    #: wall time of all plans, and of everything
    plan_seconds: float
    seconds: float

    def flat(self) -> dict[str, float | int | str]:
        """All of it in one mapping, for JSON."""
        row = asdict(self)
        return {**row.pop("figures"), **row}


@dataclass(slots=True)
class _Stopwatch:
    """Counts a policy's plans and their wall time."""

    count: int = 0
    seconds: float = 0.0

    def watch(self, policy: Policy) -> Policy:
        """The same policy, watched."""

        def plan(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
            begun = time.perf_counter()
            decided = policy.plan(snapshot, now_ms, config)
            self.seconds += time.perf_counter() - begun
            self.count += 1
            return decided

        return replace(policy, plan=plan)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A setup with its files read: run any policy and seed of it."""

    setup: Setup
    requests: Sequence[Request]
    load_times: Sequence[float]
    nodes: Sequence[Node]

    @classmethod
    def prepare(cls, setup: Setup) -> Simulation:
        """Read the files.

        Raises:
            TraceError: one of them cannot be used.
        """
        file = setup.load_times or next(iter(sorted(setup.trace.parent.glob(_LOAD_TIMES))), None)
        if setup.nodes is None:
            nodes = alike(setup.gpus, setup.vram_bytes)
        else:
            nodes = read_nodes(setup.nodes, setup.gpus, setup.vram_bytes)
        return cls(
            setup=setup,
            requests=read_trace(setup.trace, setup.limit),
            load_times=[] if file is None else read_load_times(file),
            nodes=nodes,
        )

    def copies(self) -> int:
        """How often the trace is laid over itself."""
        return self._workload(0).copies

    def jobs(self) -> int:
        """How many jobs each seed has."""
        return self.copies() * len(self.requests)

    def run(self, policy: str, seed: int, tell: Callable[[int], None] = lambda ended: None) -> Row:
        """Run one seed; ``tell`` hears now and then how many more jobs ended.

        Raises:
            WorldError: some jobs never end under this policy.
        """
        begun = time.perf_counter()
        setup, watch = self.setup, _Stopwatch()
        workload = self._workload(seed)
        machine = SimpleMachine(self.nodes, setup.workers_per_gpu)
        settings = ever_heard()
        world = World(
            drafts=draft_jobs(
                workload.arrivals,
                most_bytes=self._most_bytes(settings),
                lie=setup.faults.lie,
                seed=seed,
            ),
            machine=machine,
            policy=watch.watch(policies()[policy]()),
            settings=settings,
            faults=draw_faults(
                setup.faults, machine, self.nodes, horizon=workload.horizon, seed=seed
            ),
            tell=tell,
        )
        world.run()
        return Row(
            policy=policy,
            seed=seed,
            figures=world.recorder.figures(
                sum(len(node.gpus) for node in self.nodes) * setup.workers_per_gpu
            ),
            refused=world.refused,
            overcommit_bytes=machine.overcommit_bytes,
            plans=watch.count,
            plan_seconds=watch.seconds,
            seconds=time.perf_counter() - begun,
        )

    def _workload(self, seed: int) -> Workload:
        setup = self.setup
        return superpose(
            self.requests,
            gpus=setup.gpus,
            load=setup.load,
            load_times=self.load_times,
            seed=seed,
            copies=setup.copies,
        )

    def _most_bytes(self, settings: Settings) -> int:
        """What the smallest card can promise."""
        least = min(node.vram_bytes for node in self.nodes)
        rules = settings.admission
        return least - max(rules.safety_min, int(rules.safety_share * least))


def ever_heard() -> Settings:
    """The default settings, but agents need not speak to be alive."""
    defaults = Settings()
    rules = defaults.scheduler.model_copy(update={"heartbeat": _NEVER_S})
    return defaults.model_copy(update={"scheduler": rules})


def summary(rows: Sequence[Row]) -> dict[str, float | int]:
    """Means over the seeds, ``…_sd`` beside each, and ``worst_wait_s``, the longest of all.

    ``jobs`` is the same for each seed, ``failed`` and ``refused`` are sums.
    """
    counts = {"jobs": rows[0].figures.jobs, "failed": sum(row.figures.failed for row in rows)}
    means: dict[str, float | int] = {}
    for name in [each.name for each in fields(Figures) if each.name not in counts]:
        values = [float(getattr(row.figures, name)) for row in rows]
        means[name] = statistics.fmean(values)
        means[f"{name}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return {
        **counts,
        "refused": sum(row.refused for row in rows),
        **means,
        "worst_wait_s": max(row.figures.max_wait_s for row in rows),
        "overcommit_bytes": max(row.overcommit_bytes for row in rows),
        "plan_ms": 1000 * sum(r.plan_seconds for r in rows) / max(1, sum(r.plans for r in rows)),
    }
