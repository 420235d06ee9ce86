"""Builders of small simulated worlds for tests: say only what matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.ledger_values import Grant
from simulator.world.draft import Draft, draft_jobs
from simulator.world.faults import Fault
from simulator.world.machine import Work
from simulator.world.nodes import alike
from simulator.world.policies import policies
from simulator.world.run import ever_heard
from simulator.world.simple_machine import SimpleMachine
from simulator.world.workload import Arrival, Model
from simulator.world.world import World

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Start:
    """One attempt that began."""

    at: float
    job: str
    worker: str


class WatchedMachine(SimpleMachine):
    """Keeps a list of what was started when and where."""

    starts: list[Start]

    def start(self, now: float, worker: str, work: Work, grant: Grant) -> None:
        """Note it, and begin it."""
        self.starts.append(Start(now, work.job, worker))
        super().start(now, worker, work, grant)


@dataclass(slots=True)
class Scene:
    """Jobs named by whoever writes the test, in order of arrival."""

    arrivals: list[Arrival] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def job(
        self,
        name: str,
        at: float = 0.0,
        *,
        user: str = "ann",
        model: str = "a",
        gib: float = 4,
        run: float = 10.0,
        load: float = 20.0,
    ) -> Scene:
        """Add a job; returns the scene, so that calls can be chained."""
        self.names[f"j{len(self.arrivals):08}"] = name
        made = Model(name=model, bytes=int(gib * GIB), load_seconds=load)
        self.arrivals.append(Arrival(at, user, made, run, small=False))
        return self

    def drafts(self, *, vram_gib: float = 44, lie: float = 0.0) -> list[Draft]:
        """What is submitted."""
        return draft_jobs(self.arrivals, most_bytes=int(vram_gib * GIB), lie=lie, seed=0)


def machine(gpus: int = 1, vram_gib: float = 44, workers_per_gpu: int = 1) -> WatchedMachine:
    """Alike hosts of one GPU each."""
    made = WatchedMachine(alike(gpus, int(vram_gib * GIB)), workers_per_gpu)
    made.starts = []
    return made


def world(
    scene: Scene,
    on: SimpleMachine,
    policy: str = "fifo",
    *,
    faults: Sequence[Fault] = (),
    most_gib: float = 40,
    lie: float = 0.0,
) -> World:
    """A world in which the scene's jobs will run."""
    return World(
        drafts=scene.drafts(vram_gib=most_gib, lie=lie),
        machine=on,
        policy=policies()[policy](),
        settings=ever_heard(),
        faults=faults,
    )


def played(
    scene: Scene,
    policy: str = "fifo",
    *,
    gpus: int = 1,
    vram_gib: float = 44,
    workers_per_gpu: int = 1,
) -> list[tuple[str, float, str]]:
    """Run the scene to its end: name, time and worker of every start, in order."""
    on = machine(gpus, vram_gib, workers_per_gpu)
    world(scene, on, policy).run()
    return [(scene.names[start.job], start.at, start.worker) for start in on.starts]


def write_trace(folder: Path, rows: int = 60) -> Path:
    """A little trace in the real format, with load times beside it: bursts of few models."""
    head = (
        "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,"
        "checkpoint_model_version_id,num_lora\n"
    )
    lines = [
        f"2024-11-15 10:{n // 4:02}:{n % 4 * 13:02},TXT_2_IMG,{'FAILED' if n % 10 == 9 else 'SUCCEED'},"
        f"{5 + n % 23}.0,T{n * n % 11},63.0,M{n % 7 * (n % 3)},0\n"
        for n in range(rows)
    ]
    (folder / "basemodel_load.csv").write_text("timestamp,value\n1,3000.0\n2,20000.0\n")
    file = folder / "trace.csv"
    file.write_text(head + "".join(lines))
    return file
