"""What is told of workers' upkeep, as types."""

from __future__ import annotations

from typing import TypedDict


class WorkerAsked(TypedDict):
    """What was asked of which workers."""

    action: str
    workers: list[str]


class WorkerUpkeep(TypedDict):
    """One worker: how it is, whether it is to take nothing, whether it is to be started anew."""

    id: str
    agent: str
    gpu: str
    state: str
    #: ``draining``, ``drained``, ``restarting``, or what its agent says is wrong
    detail: str
    busy: bool
    #: the worker itself is drained; of all of its host, ``host_drained``
    drained: bool
    host_drained: bool
    #: "", ``asked``, or ``refused``: its agent did not start it
    restart: str


class Rolling(TypedDict):
    """A rolling restart: what is done, what is under way, what is left; ``error``: why it ended."""

    running: bool
    by: str
    done: list[str]
    current: str
    left: list[str]
    error: str


class Upkeep(TypedDict):
    """All workers, and the rolling restart under way or last."""

    workers: list[WorkerUpkeep]
    rolling: Rolling | None


class WorkerLog(TypedDict):
    """The last lines of a worker's log; people's texts are left out."""

    worker: str
    lines: list[str]
