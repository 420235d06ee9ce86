"""Settings of an episode, and how an admin changes them while it runs."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from config.settings import Admission, Agent, Group, Scheduler, Settings, Store, User

_USERS: Final = 6


def first_settings(rng: Random) -> Settings:
    """Users in groups, with caps here and there, and a scheduler with short patience."""
    groups = tuple(
        Group(
            name=f"group{n}",
            weight=rng.choice((1.0, 1.0, 2.0)),
            max_running=rng.choice((None, None, 2)),
            vram_share=rng.choice((None, None, 0.6)),
        )
        for n in range(2)
    )
    users = tuple(
        User(
            name=f"user{n}",
            group=f"group{n % 2}",
            weight=rng.choice((0.5, 1.0, 3.0)),
            max_running=rng.choice((None, None, None, 1, 2)),
            vram_share=rng.choice((None, None, None, 0.5)),
        )
        for n in range(_USERS)
    )
    return Settings(
        users=users,
        groups=groups,
        scheduler=Scheduler(**_rules(rng)),
        admission=Admission(),
        agent=Agent(sample=rng.choice((0.25, 0.5, 1.0))),
        store=Store(keep_jobs=rng.choice((5, 20, 60)), keep_for=rng.choice((300.0, 86400.0))),
    )


def tuned(settings: Settings, rng: Random) -> Settings:
    """The settings after an admin has changed some of them."""
    users = tuple(
        user.model_copy(
            update={
                "weight": rng.choice((0.5, 1.0, 3.0)),
                "max_running": rng.choice((None, None, 1, 2)),
            }
        )
        if rng.random() < 0.3
        else user
        for user in settings.users
    )
    rules = settings.scheduler.model_copy(update=_rules(rng))
    return settings.model_copy(update={"users": users, "scheduler": rules})


def _rules(rng: Random) -> dict[str, Any]:
    return {
        "window": rng.choice((2, 8, 32)),
        "heads": rng.choice((2, 32)),
        "max_skips": rng.choice((0, 4, 16, 64)),
        "aging": rng.choice((30.0, 300.0, 1200.0)),
        "strict_order": rng.random() < 0.2,
        "cold_loads": rng.choice((1, 1, 2)),
        "max_running": rng.choice((None, None, 3)),
        "preemption": rng.random() < 0.4,
        "no_progress": 60.0,
        "quarantine": rng.choice((10.0, 60.0)),
    }
