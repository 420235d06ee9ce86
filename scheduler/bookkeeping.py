"""Rules and words that every ledger keeps alike. Pure.

The Lua scripts hold the same formulas; the differential test compares them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from scheduler.closing import failed_frames, interrupted_frames, wordless_entry
from scheduler.ledger_values import Ending
from scheduler.states import FailReason, Job, JobState, Lane, NewJob

_NAMES: Final = tuple(field.name for field in fields(Job))
_PLACES: Final = {name: n for n, name in enumerate(_NAMES)}
_values: Callable[[Job], tuple[Any, ...]] = attrgetter(*_NAMES)
#: the slots' own setters: what the frozen class' constructor uses, without its detours
_SETTERS: Final = tuple(getattr(Job, name).__set__ for name in _NAMES)
#: An event's id as one number: ms · 1024 + sequence (exact in a double until 2248).
SEQUENCES_PER_MS: Final = 1024
#: Without a recorder that says what it has stored, this many times as much is kept.
UNRECORDED_FACTOR: Final = 10
#: The stream keeps what the recorder has for this long, for gateways that reconnect.
EVENTS_KEPT_MS: Final = 600_000
#: Events that are kept where nobody has ever recorded, and at most while a
#: recorder is away; the second is also in ``lua/_lib.lua``.
EVENTS_UNRECORDED: Final = 200_000
EVENTS_MOST: Final = 2_000_000
#: A recorder that has not acknowledged for this long is taken for dead.
ABANDONED_MS: Final = 30_000
#: Bytes of probes' records that may wait for the recorder: an hour of 250 node runs a second, at
#: 300 bytes each. What is more waits at its agent.
MOST_TOLD_BYTES: Final = 256 * 2**20
#: Added to a batch job's place; no user sends so many prompts.
BATCH_PLACE: Final = 2**40
#: What the user of a held job reads.
HELD_DETAIL: Final = "It is held: it starts only after you let it go on."
#: Endings in which the worker may have left the client without a last word.
WORDLESS: Final = (Ending.LOST, Ending.RETURNED, Ending.OOM, Ending.FAILED)
#: Top folder of everything of ours on a worker's disk (docs/decisions/0001).
ROOT: Final = "vg"
#: begins the folder in which a user sees another user's outputs (``gateway.mates``)
RESERVED: Final = "@"


def queued_job(job: NewJob, group: str, number: int, now_ms: int) -> Job:
    """A new job as it stands in the queue.

    Args:
        job: as submitted.
        group: that its user's unfinished jobs are charged to.
        number: the user's count of prompts, negative for one sent to the front.
        now_ms: server time.
    """
    return Job(
        id=job.id,
        user=job.user,
        group=group,
        prompt_id=job.prompt_id,
        client_id=job.client_id,
        state=JobState.QUEUED,
        rev=1,
        attempt=0,
        number=number,
        lane=job.lane,
        fingerprint=job.fingerprint,
        models=job.models,
        need_bytes=job.need_bytes,
        need_seconds=job.need_seconds,
        needs_gpu=job.needs_gpu,
        inputs=job.inputs,
        submitted_ms=now_ms,
        parents=job.parents,
        model_bytes=job.model_bytes,
        load_seconds=job.load_seconds,
        late_seconds=job.late_seconds,
        curve=job.curve,
        host_bytes=job.host_bytes,
        guess=job.guess,
        requires=job.requires,
        deadline_ms=0 if job.deadline_s is None else now_ms + int(job.deadline_s * 1000),
    )


def place(job: Job) -> int:
    """Where a job stands in its user's queue, least first.

    Batch jobs stand behind all interactive ones: a plan sees only a queue's first jobs.
    """
    return job.number + (BATCH_PLACE if job.lane is Lane.BATCH else 0)


def number_at(place: int) -> int:
    """The number of the job that stands there; counts stay far below ``BATCH_PLACE``."""
    return place - BATCH_PLACE if place > BATCH_PLACE // 2 else place


def cost(charge: int, granted_seconds: float, run_seconds: float) -> int:
    """What an attempt cost that was charged ``charge`` for ``granted_seconds``.

    Both ledgers compute it in doubles, in this order, so that they agree to the unit.
    """
    if granted_seconds <= 0:
        return charge
    return math.floor(charge * max(run_seconds, 0.0) / granted_seconds + 0.5)


def changed(job: Job, **changes: Any) -> Job:
    """As ``dataclasses.replace``, at a third of its time: a ledger does little else."""
    values = list(_values(job))
    for name, value in changes.items():
        values[_PLACES[name]] = value
    made = object.__new__(Job)
    for put, value in zip(_SETTERS, values, strict=True):
        put(made, value)
    return made


def event_score(event_id: str) -> int:
    """An event's id as the score under which ended jobs are kept."""
    ms, _, sequence = event_id.partition("-")
    return int(ms) * SEQUENCES_PER_MS + min(int(sequence), SEQUENCES_PER_MS - 1)


def own_folder(user: str, worker_subfolder: str) -> str:
    """The user's name of a folder on a worker's disk: without the top that agents add."""
    top = f"{ROOT}/{user}"
    return "" if worker_subfolder == top else own_top(worker_subfolder.removeprefix(f"{top}/"))


def own_top(folder: str) -> str:
    """A folder of a user's own outputs: ``@mia/x`` would name another user's, ``_@mia/x`` does not."""
    return f"_{folder}" if folder.startswith(RESERVED) else folder


def closing_words(prompt_id: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Results and frames for an attempt that nobody will finish: cancelled, poison."""
    cancelled = interrupted_frames(prompt_id)
    poison = failed_frames(prompt_id, FailReason.POISON)
    return (
        as_json(wordless_entry(cancelled)),
        as_json(cancelled),
        as_json(wordless_entry(poison)),
        as_json(poison),
    )


def refusal_words(prompt_id: str, reason: FailReason, message: str) -> tuple[bytes, bytes]:
    """Result and frames of a job that is ended before any worker saw it."""
    frames = failed_frames(prompt_id, reason, message)
    return as_json(wordless_entry(frames)), as_json(frames)


def as_json(value: Mapping[str, Any] | list[Any]) -> bytes:
    """Compact JSON text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
