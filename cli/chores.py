"""What ``vramgate jobs`` works off: functions that RQ finds by their names.

Addresses of databases and servers may have passwords in them, which must not lie about in a queue.
So none is handed over: the process that works a chore off has settings of its own (``work_for``).
"""

from __future__ import annotations

from cli.boot import redis_url, store_url
from cli.errors import CliError
from cli.options import Ground
from config.history import History

#: the installation that this process works for; RQ has no other way to hand it to a function
_here: list[Ground] = []


def work_for(ground: Ground) -> None:
    """From now on chores are this installation's."""
    _here[:] = [ground]


def tend() -> dict[str, int]:
    """Each hour: clear half uploads, let SQLite tidy up."""
    from dashboard.history import upkeep

    return upkeep.tend(_store(), str(_ground().data_dir / "files"))


def tidy() -> None:
    """Each hour: what nodes took; then delete what has been kept long enough."""
    from dashboard.history import chores

    chores.tidy(_store(), kept(_ground().source.current().history))


def learn_week() -> int:
    """Each hour: demand by hour of the week."""
    from cli import week

    settings = _ground().source.current()
    return week.learn_week(_store(), _ledger(), settings.redis.pool, settings.scheduler.rhythm_zone)


def add_up() -> dict[str, int]:
    """Each minute: samples of longer steps, and usage up to now."""
    from dashboard.history import chores

    return chores.add_up(_store())


def advise() -> int | None:
    """Each minute: find advice where that is due."""
    from dashboard.advice import chores

    return chores.advise_if_due(_store())


def tell_spent() -> str:
    """Each minute: this month's usage, for budgets."""
    from cli import budgets

    settings = _ground().source.current()
    return budgets.tell_spent(
        _store(), _ledger(), settings.redis.pool, settings.scheduler.rhythm_zone
    )


def play(id_: str) -> str:
    """Play the question of this id: what would have been."""
    from cli import what_if

    return what_if.work_off(_store(), id_)


def kept(history: History) -> dict[str, float | None]:
    """Spans of the settings, seconds, by the names that ``store.expiry`` has for them."""
    spans = {name: getattr(history, name) for name in type(history).model_fields}
    return {name.removeprefix("keep_"): span for name, span in spans.items() if name != "inputs"}


def _ground() -> Ground:
    if not _here:
        raise CliError("this process works for no installation: chores are for `vramgate jobs`")
    return _here[0]


def _store() -> str:
    ground = _ground()
    return store_url(ground.source.current(), ground.data_dir)


def _ledger() -> str:
    ground = _ground()
    return redis_url(ground.source.current(), ground.data_dir)
