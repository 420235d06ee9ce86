"""Ledgers that a random walk drives, and all that their books hold in one form."""

from __future__ import annotations

import asyncio
import itertools
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import redis

from scheduler.ledger import Event, Order
from scheduler.memory_books import Books
from scheduler.redis_codec import decode_event, decode_job, decode_order
from scheduler.redis_connection import load_scripts
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job

POOL = "p"
START_MS = 1_000_000_000
#: member → counter
Counters = dict[str, int]


@dataclass
class View:
    """Everything that the books hold, by what it means."""

    jobs: dict[str, Job] = field(default_factory=dict)
    #: per user, in order
    queues: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, list[str]] = field(default_factory=dict)
    active: dict[str, set[str]] = field(default_factory=dict)
    ended: dict[str, set[str]] = field(default_factory=dict)
    inflight: set[str] = field(default_factory=set)
    #: worker → GPU and bytes promised there; worker → its job; worker → failures
    reserved: dict[str, tuple[str, int]] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    failures: Counters = field(default_factory=dict)
    virtual: Counters = field(default_factory=dict)
    charged: Counters = field(default_factory=dict)
    group_virtual: Counters = field(default_factory=dict)
    group_charged: Counters = field(default_factory=dict)
    group_clock: Counters = field(default_factory=dict)
    turns: dict[str, Counters] = field(default_factory=dict)
    groups: Counters = field(default_factory=dict)
    clock: int = 0
    events: list[Event] = field(default_factory=list)
    inboxes: dict[str, list[Order]] = field(default_factory=dict)


class World(Protocol):
    """One ledger under test."""

    def do(self, call: str, *args: Any, **options: Any) -> Any:
        """One call of the ledger."""

    def view(self) -> View:
        """What its books hold now."""

    def dump(self) -> Any:
        """The same in its own form, whole: to see whether anything changed."""

    def advance(self, ms: int) -> None:
        """Let time pass, where the clock is ours."""

    def close(self) -> None:
        """The walk is over."""


# ── in memory ────────────────────────────────────────────────────────────────

#: in the order in which they import each other
MODULES = (
    "turns", "records", "stream", "base", "submit", "lists", "plan", "agent", "report", "files",
    "house", "books",
)  # fmt: skip


def planted(module: str, right: str, wrong: str) -> type[Books]:
    """The books in memory with a fault: ``wrong`` in place of ``right`` in one module."""
    names = [f"scheduler.memory_{name}" for name in MODULES]
    parts = {one.__module__ for one in Books.__mro__ if one.__module__.startswith("scheduler.")}
    assert parts <= set(names), "a part that is not made anew hides the faults of its base"
    kept = {name: sys.modules[name] for name in names}
    try:
        for name in names:
            spec = find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            text = Path(spec.origin).read_text()
            if name == f"scheduler.memory_{module}":
                assert right in text, f"{name} has changed: plant the fault anew"
                text = text.replace(right, wrong)
            made = types.ModuleType(name)
            sys.modules[name] = made
            exec(compile(text, spec.origin, "exec"), vars(made))
        books: type[Books] = sys.modules["scheduler.memory_books"].Books
        return books
    finally:
        sys.modules.update(kept)


class MemoryWorld:
    """``Books``, with a clock that stands still unless told otherwise."""

    def __init__(self, books: type[Books] = Books) -> None:
        self.now = START_MS
        calls = itertools.count()
        self.books = books(lambda: self.now, lambda: f"call-{next(calls)}")

    def do(self, call: str, *args: Any, **options: Any) -> Any:
        return getattr(self.books, call)(*args, **options)

    def advance(self, ms: int) -> None:
        self.now += ms

    def dump(self) -> View:
        return self.view()

    def view(self) -> View:
        books, view = self.books, View()
        view.jobs = {id_: record.job for id_, record in books.records.items()}
        for name, user in books.users.items():
            view.queues[name] = [id_ for _, id_ in user.queue]
            view.held[name] = [id_ for _, id_ in user.held]
            view.active[name] = set(user.active)
            view.ended[name] = {*user.done, *user.hidden}
            view.virtual[name], view.charged[name] = user.virtual, user.charged
        for name, group in books.groups.items():
            view.group_virtual[name], view.group_charged[name] = group.virtual, group.charged
            view.group_clock[name] = group.clock
            view.turns[name] = dict(group.turns.counters)
        view.groups, view.clock = dict(books.turns.counters), books.clock
        view.inflight = set(books.inflight)
        for gpu, holds in books.holds.items():
            view.reserved |= {name: (gpu, bytes_) for name, bytes_ in holds.reserved.items()}
        view.busy = {name: one.job for name, one in books.workers.items() if one.job}
        view.failures = {name: one.failures for name, one in books.workers.items()}
        view.events = list(books.stream._events)
        view.inboxes = {agent: list(inbox) for agent, inbox in books.inboxes.items()}
        return _without_empty(view)

    def close(self) -> None:
        pass


# ── on a server ──────────────────────────────────────────────────────────────


def on_our_clock(texts: Mapping[str, str]) -> dict[str, str]:
    """The scripts with a clock that stands in a key, and event ids made from it."""
    library = texts["_lib"]
    start = library.index("local function now_ms()")
    end = library.index("end\n", start) + 4
    clock = f"local function now_ms() return tonumber(redis.call('GET', '{POOL}-clock')) end\n"
    library = library[:start] + clock + library[end:]
    assert "EVENTS_MAX, '*'" in library
    library = library.replace("EVENTS_MAX, '*'", "EVENTS_MAX, now_ms() .. '-*'")
    return {**texts, "_lib": library}


#: how each type of key is read whole
_READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"hash": lambda client, key: client.hgetall(key),
    b"set": lambda client, key: client.smembers(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"stream": lambda client, key: client.xrange(key),
    b"string": lambda client, key: client.get(key),
}


class RedisWorld:
    """``RedisLedger`` on a database of its own."""

    def __init__(self, url: str, scripts: Mapping[str, str] | None = None) -> None:
        self.client: Any = redis.Redis.from_url(url)
        self.client.flushdb()
        self.client.set(f"{POOL}-clock", START_MS)
        self.runner = asyncio.Runner()
        calls = itertools.count()
        self.ledger = RedisLedger.connect(
            url, POOL, scripts=scripts, patience_s=1, new_call=lambda: f"call-{next(calls)}"
        )

    def do(self, call: str, *args: Any, **options: Any) -> Any:
        return self.runner.run(getattr(self.ledger, call)(*args, **options))

    def advance(self, ms: int) -> None:
        self.client.incrby(f"{POOL}-clock", ms)

    def dump(self) -> dict[str, Any]:
        keys = sorted(self.client.keys(f"vg:{{{POOL}}}:*"))
        read = self.client.pipeline(transaction=False)
        for key in keys:
            read.type(key)
        types = read.execute()
        for key, type_ in zip(keys, types, strict=True):
            _READ[type_](read, key)
        head = len(f"vg:{{{POOL}}}:")
        return {key.decode()[head:]: value for key, value in zip(keys, read.execute(), strict=True)}

    def view(self) -> View:
        view = View()
        for key, value in self.dump().items():
            kind, _, name = key.partition(":")
            reader = getattr(self, f"_read_{kind}", None)
            if reader is not None:
                reader(view, name, value)
        view.turns = {name: turns for name, turns in view.turns.items() if name}
        return _without_empty(view)

    def close(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.close()
        self.client.flushdb()
        self.client.close()

    def _read_job(self, view: View, name: str, value: Any) -> None:
        job = decode_job(value)
        assert job is not None
        view.jobs[name] = job

    def _read_queue(self, view: View, name: str, value: Any) -> None:
        view.queues[name] = list(_scores(value))

    def _read_held(self, view: View, name: str, value: Any) -> None:
        view.held[name] = list(_scores(value))

    def _read_active(self, view: View, name: str, value: Any) -> None:
        view.active[name] = set(_scores(value))

    def _read_done(self, view: View, name: str, value: Any) -> None:
        view.ended[name] = view.ended.get(name, set()) | set(_scores(value))

    _read_hidden = _read_done

    def _read_inflight(self, view: View, name: str, value: Any) -> None:
        view.inflight = set(_scores(value))

    def _read_holds(self, view: View, name: str, value: Any) -> None:
        for field_, bytes_ in value.items():
            if field_.startswith(b"r:"):
                view.reserved[field_[2:].decode()] = (name, int(bytes_))

    def _read_worker(self, view: View, name: str, value: Any) -> None:
        if b"job" in value:
            view.busy[name] = value[b"job"].decode()
        view.failures[name] = int(value.get(b"failures", 0))

    def _read_user(self, view: View, name: str, value: Any) -> None:
        view.virtual[name] = int(value.get(b"virtual", 0))
        view.charged[name] = int(value.get(b"charged", 0))

    def _read_group(self, view: View, name: str, value: Any) -> None:
        view.group_virtual[name] = int(value.get(b"virtual", 0))
        view.group_charged[name] = int(value.get(b"charged", 0))
        view.group_clock[name] = int(value.get(b"clock", 0))

    def _read_turns(self, view: View, name: str, value: Any) -> None:
        if name:
            view.turns[name] = _scores(value)
        else:
            view.groups = _scores(value)

    def _read_clock(self, view: View, name: str, value: Any) -> None:
        view.clock = int(value)

    def _read_events(self, view: View, name: str, value: Any) -> None:
        view.events = [decode_event(event_id, fields) for event_id, fields in value]

    def _read_inbox(self, view: View, name: str, value: Any) -> None:
        view.inboxes[name] = [decode_order(entry) for entry in value]


def shipped() -> dict[str, str]:
    """The Lua texts as they are shipped."""
    return load_scripts()


def _scores(entries: Any) -> Counters:
    return {member.decode(): int(score) for member, score in entries}


def _without_empty(view: View) -> View:
    """Redis keeps no empty lists, and a counter of nought is as good as none."""
    for name, value in vars(view).items():
        if isinstance(value, dict) and name not in ("jobs", "groups"):
            setattr(view, name, {key: one for key, one in value.items() if one})
    return view
