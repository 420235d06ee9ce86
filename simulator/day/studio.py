"""A studio: its people with what they make and when, and its machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.roles import Role
from config.settings import Group, Settings, User
from scheduler.states import Lane
from simulator.day.workflows import GIB
from simulator.world.nodes import Node
from simulator.world.run import ever_heard

#: how much is posted in each hour of the clock: a dip at noon, a peak in the evening
OFFICE: Final = (
    0.02, 0.01, 0.0, 0.0, 0.0, 0.01, 0.03, 0.15, 0.5, 1.0, 1.3, 1.2,
    0.35, 0.45, 1.1, 1.3, 1.5, 2.1, 2.6, 2.0, 0.8, 0.3, 0.12, 0.05,
)  # fmt: skip
#: work that nobody watches is sent off before people leave, and after
NIGHT: Final = (
    0.8, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.2, 0.5, 1.2, 2.0, 1.8, 1.2,
)  # fmt: skip
#: share of an ordinary day's work that is posted on each weekday
WEEK: Final = (1.0, 1.05, 1.1, 1.05, 0.9, 0.15, 0.08)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One kind of work of one user."""

    user: str
    workflow: str
    #: part of all jobs
    share: float
    hours: tuple[float, ...] = OFFICE
    lane: Lane = Lane.INTERACTIVE
    #: most prompts that are posted one after the other
    burst: int = 4
    #: part of the prompts that are posted once more as they were
    repeats: float = 0.04


#: User → group.
PEOPLE: Final[Mapping[str, str]] = {
    "anna": "film",
    "ben": "film",
    "cleo": "film",
    "dora": "design",
    "emil": "design",
    "finn": "design",
}
HABITS: Final = (
    Habit(user="anna", workflow="concept", share=0.13),
    Habit(user="anna", workflow="4K upscale", share=0.06, burst=2),
    Habit(user="ben", workflow="key visual", share=0.17, burst=6),
    Habit(user="ben", workflow="4K upscale", share=0.04, burst=2),
    Habit(user="cleo", workflow="shot", share=0.05, hours=NIGHT, lane=Lane.BATCH, burst=5),
    Habit(user="cleo", workflow="shot", share=0.015, burst=1),
    Habit(user="cleo", workflow="concept", share=0.05),
    # the same pictures again and again
    Habit(user="dora", workflow="portrait", share=0.17, burst=5, repeats=0.35),
    Habit(user="emil", workflow="key visual", share=0.08),
    Habit(user="emil", workflow="key visual, sde", share=0.09),
    Habit(user="finn", workflow="cut-out", share=0.105, burst=5),
    Habit(user="finn", workflow="contact sheet", share=0.04, burst=2),
)
#: an account that looks after the pool
ADMIN: Final = "olga"
#: Two cards that people want, one more of the same, and an old one that fits nothing they run.
NODES: Final = (
    Node(id="studio-a", model="RTX 4090", gpus=("GPU-a0", "GPU-a1"), vram_bytes=24 * GIB),
    Node(id="studio-b", model="RTX 3090", gpus=("GPU-b0",), vram_bytes=24 * GIB),
    Node(id="studio-c", model="RTX 3070", gpus=("GPU-c0",), vram_bytes=8 * GIB),
)
WORKERS_PER_GPU: Final = 2
#: A worker whose process keeps a little more memory after each job.
LEAKY: Final = "studio-b-1"


def settings() -> Settings:
    """The studio's configuration: an intern's cap, budgets that the month may reach."""
    users = [User(name=name, group=group) for name, group in PEOPLE.items()]
    changes: dict[str, dict[str, float]] = {
        "finn": {"max_running": 1},
        "anna": {"budget_soft": 1.0, "budget": 200.0},
        "cleo": {"budget_soft": 20.0, "budget": 40.0},
    }
    users = [one.model_copy(update=changes.get(one.name, {})) for one in users]
    users.append(User(name=ADMIN, group="office", role=Role.ADMIN))
    groups = [Group(name="film", weight=2.0), Group(name="design", budget=300.0)]
    return ever_heard().model_copy(update={"users": tuple(users), "groups": tuple(groups)})
