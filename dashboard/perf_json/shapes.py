"""The format, as types; ``docs/perf.schema.json`` is generated from them.

Times are milliseconds since the epoch, sizes bytes, lengths of time seconds. Words such as states
and reasons are open: a reader takes ones it does not know. Everything but the head may be absent.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

#: What a file says it is.
FORMAT: Final = "vramgate.perf"
#: A reader takes every minor version of its major one: fields come, and mean what they meant.
MAJOR: Final = 1
MINOR: Final = 0
VERSION: Final = f"{MAJOR}.{MINOR}"

#: the largest whole number that JavaScript keeps
_LARGEST: Final = 2**53 - 1
Ms = Annotated[int, Meta(ge=0, le=_LARGEST)]
Bytes = Annotated[int, Meta(ge=0, le=_LARGEST)]
Count = Annotated[int, Meta(ge=0, le=_LARGEST)]
Sum = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0, lt=1e9)]
Word = Annotated[str, Meta(max_length=500)]
Sentence = Annotated[str, Meta(max_length=2000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all parts share."""


class About(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """Who wrote the file, and of what."""

    #: name and version of the program
    writer: Word
    written_ms: Ms
    #: ``prompt`` (a probe alone), ``job`` or ``span``
    scope: Word
    #: users, groups and models have made-up names
    redacted: bool = False
    #: it has one user's work only
    own: bool = False
    comfyui: Word = ""
    torch: Word = ""
    python: Word = ""
    #: kind of device: ``cuda``, ``cpu``, …
    device: Word = ""
    #: what a probe alone followed, and what this ComfyUI lacks
    hooks: list[Word] = []
    missing: list[Word] = []


class Span(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """The time that the file is about."""

    from_ms: Ms
    until_ms: Ms


class Gpu(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """A GPU."""

    id: Word
    total_bytes: Bytes = 0


class Worker(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """A ComfyUI process; ``gpu`` is empty where it has none."""

    id: Word
    gpu: Word = ""


class Job(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """An ended job; times that never came are absent."""

    id: Word
    user: Word = ""
    group: Word = ""
    state: Word
    reason: Word = ""
    lane: Word = ""
    #: which kind of workflow it is
    fingerprint: Word = ""
    #: its largest model
    model: Word = ""
    worker: Word = ""
    gpu: Word = ""
    attempts: Count = 0
    #: attempts that ended because their worker was lost, or for want of memory
    losses: Count = 0
    ooms: Count = 0
    submitted_ms: Ms = 0
    admitted_ms: Ms = 0
    started_ms: Ms = 0
    ended_ms: Ms = 0
    #: expected before it ran
    need_bytes: Bytes = 0
    need_seconds: Seconds = 0.0
    #: promised, and measured
    reserved_bytes: Bytes = 0
    peak_bytes: Bytes = 0
    run_seconds: Seconds = 0.0


class Run(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of a job, or a prompt that a probe alone has seen."""

    job: Word
    attempt: Count = 1
    user: Word = ""
    worker: Word = ""
    gpu: Word = ""
    admitted_ms: Ms | None = None
    claimed_ms: Ms | None = None
    ended_ms: Ms | None = None
    #: the job's state after it: QUEUED means that it ran again
    state: Word = ""
    reason: Word = ""
    reserved_bytes: Bytes | None = None
    #: what the probe says: when it began and how long it took
    started_ms: Ms | None = None
    seconds: Seconds | None = None
    #: success, error, interrupted
    result: Word = ""
    nodes: Count = 0
    cached: Count = 0
    #: torch's bytes
    peak_allocated: Bytes | None = None
    peak_reserved: Bytes | None = None
    allocated_before: Bytes | None = None
    allocated_after: Bytes | None = None
    reserved_before: Bytes | None = None
    reserved_after: Bytes | None = None
    #: device footprint that the process was kept within
    limit_bytes: Bytes | None = None
    loads: Count = 0
    load_seconds: Seconds = 0.0
    #: nodes ran side by side: their peaks are not theirs alone
    overlap: bool = False
    #: class → bytes of outputs that stayed in the cache
    retained: dict[Word, Bytes] = {}


class Tensor(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """Shape and kind of what went in or came out."""

    shape: list[Annotated[int, Meta(ge=0, le=_LARGEST)]]
    dtype: Word = ""


#: A scalar, or tensors. Texts are hashes, or there are none, unless somebody chose to keep them.
Value = bool | int | float | Annotated[str, Meta(max_length=500)] | Tensor | list[Tensor] | None


class Node(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a run, its calls summed up."""

    job: Word
    attempt: Count = 1
    node: Word
    #: node of the posted graph, where this one was expanded from it
    display: Word = ""
    cls: Word = msgspec.field(name="class")
    started_ms: Ms
    seconds: Seconds
    calls: Count = 1
    cached: bool = False
    result: Word = "success"
    #: type of the exception
    error: Word = ""
    #: torch's allocated bytes; absent: not measured
    before_bytes: Bytes | None = None
    after_bytes: Bytes | None = None
    peak_bytes: Bytes | None = None
    out_bytes: Bytes | None = None
    #: ``cpu`` or ``tiled``: a VAE that did not run as it was asked to
    fallback: Word = ""
    #: label of a *Performance Monitor*
    marker: Word = ""
    inputs: dict[Word, Value] = {}
    outputs: dict[Word, Value] = {}


class Move(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """A model came to a device (``load``) or left it (``unload``)."""

    #: when it was done
    at_ms: Ms
    worker: Word = ""
    job: Word = ""
    attempt: Count = 0
    node: Word = ""
    what: Word
    #: kind of model
    model: Word = ""
    bytes: Bytes = 0
    #: less than ``bytes``: a part stayed in host memory
    loaded_bytes: Bytes = 0
    seconds: Seconds = 0.0


class Memory(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """Torch's memory in a worker, in columns; a worker may have several pieces, oldest first.

    Between two pieces nothing is known.
    """

    worker: Word
    at_ms: list[Ms]
    allocated: list[Bytes]
    reserved: list[Bytes]
    #: free on the whole GPU, as the worker sees it
    device_free: list[Bytes | None] = []


class Samples(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """A GPU's memory and load, in columns: each the mean of ``step_s`` seconds from ``at_ms`` on.

    Where there is no entry nothing is known. A GPU may have several pieces, oldest first.
    """

    gpu: Word
    step_s: Annotated[int, Meta(ge=1)]
    at_ms: list[Ms]
    foreign_bytes: list[Bytes]
    resident_bytes: list[Bytes]
    reserved_bytes: list[Bytes]
    free_bytes: list[Bytes]
    #: 0…1
    utilisation: list[Share | None] = []
    #: °C
    temperature: list[int | None] = []
    power_mw: list[Bytes | None] = []


class Queue(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """How many jobs waited and ran, in columns as in ``samples``."""

    step_s: Annotated[int, Meta(ge=1)]
    at_ms: list[Ms]
    queued: list[Annotated[float, Meta(ge=0)]]
    running: list[Annotated[float, Meta(ge=0)]]


class Wait(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """What jobs waited for: the time summed up over the jobs."""

    reason: Word
    #: ``gpu:<id>``, ``worker:<id>`` or ``user:<name>``; absent: none in particular
    blocker: Word = ""
    job_ms: Sum


class Usage(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """What a user used in whole hours of the span. GPU time: wall time ÷ jobs on the GPU."""

    user: Word
    gpu_us: Sum = 0
    byte_ms: Sum = 0
    cost_us: Sum = 0
    energy_mj: Sum = 0
    jobs: Count = 0
    failed: Count = 0
    wait_ms: Sum = 0


class Alert(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """Something that somebody should know."""

    rule: Word
    #: what it is about: ``gpu:<id>``, ``job:<id>``, …
    subject: Word = ""
    since_ms: Ms
    #: absent: it still held
    ended_ms: Ms | None = None
    #: the last one, the one farthest over the threshold, and that
    value: float = 0.0
    worst: float = 0.0
    threshold: float = 0.0
    #: info, warning, critical
    severity: Word = ""


class Advice(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """What makes work slow, and what to do about it."""

    kind: Word
    title: Sentence
    remedies: list[Sentence] = []
    since_ms: Ms
    #: absent: it still held
    ended_ms: Ms | None = None
    #: what would be gained: ``gpu_time``, ``waiting``, ``memory``, ``spare``; seconds a day
    gain_in: Word = ""
    gain: float = 0.0
    #: runs (or hours, …) that show it
    shown: Count = 0
    #: ids of jobs that show it
    jobs: list[Word] = []


class Gap(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """A time of which records are lost; never to be drawn as zeros."""

    #: ``worker:<id>`` or ``gpu:<id>``
    subject: Word
    #: absent: some time before
    from_ms: Ms | None = None
    until_ms: Ms
    #: records
    lost: Count = 0
    why: Word = ""


class Trouble(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """Something went wrong in a probe itself."""

    at_ms: Ms
    where: Word = ""
    error: Word = ""


class LeftOut(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """What is not in the file, to keep it small: ``count`` entries of a part."""

    part: Word
    count: Count
    why: Word = ""


class Perf(Struct, frozen=True, kw_only=True):
    """A recording by vramgate: one prompt, one job, or a span of the whole pool."""

    format: Annotated[str, Meta(pattern=r"^vramgate\.perf$")]
    version: Annotated[str, Meta(pattern=rf"^{MAJOR}\.[0-9]{{1,6}}$")]
    about: About
    span: Span
    gpus: list[Gpu] = []
    workers: list[Worker] = []
    jobs: list[Job] = []
    runs: list[Run] = []
    nodes: list[Node] = []
    moves: list[Move] = []
    memory: list[Memory] = []
    samples: list[Samples] = []
    queue: list[Queue] = []
    waits: list[Wait] = []
    usage: list[Usage] = []
    alerts: list[Alert] = []
    advice: list[Advice] = []
    gaps: list[Gap] = []
    troubles: list[Trouble] = []
    left_out: list[LeftOut] = []


#: One entry of one of the lists above.
Entry = (
    Gpu | Worker | Job | Run | Node | Move | Memory | Samples | Queue | Wait | Usage | Alert
    | Advice | Gap | Trouble | LeftOut
)  # fmt: skip
#: Names of the lists, in the order in which a file has them: what others refer to comes first.
LISTS: Final = {
    Gpu: "gpus", Worker: "workers", Job: "jobs", Run: "runs", Node: "nodes", Move: "moves",
    Memory: "memory", Samples: "samples", Queue: "queue", Wait: "waits", Usage: "usage",
    Alert: "alerts", Advice: "advice", Gap: "gaps", Trouble: "troubles", LeftOut: "left_out",
}  # fmt: skip
